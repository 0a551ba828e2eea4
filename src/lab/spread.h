// Quantiles of samples.
#pragma once

#include <vector>

namespace braid::lab {

struct Spread {
  double min = 0;
  double lower_quartile = 0;
  double median = 0;
  double upper_quartile = 0;
  double max = 0;
};

// Quantiles with linear interpolation between samples; of at least one sample.
Spread spread_of(std::vector<double> samples);

}  // namespace braid::lab

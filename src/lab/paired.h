// Paired comparison of measurements that were taken in turn: clocks drift, and differences within
// a round cancel that.
#pragma once

#include <span>

namespace braid::lab {

// The median of samples, and the interval that holds the true median with 95 % confidence, whatever
// the samples' distribution: order statistics by the binomial distribution.
struct Estimate {
  double median = 0;
  double low = 0;
  double high = 0;
};

// Needs at least one sample; with fewer than six the interval is the samples' range.
Estimate estimate(std::span<const double> samples);

// The estimate of a[i] − b[i]; both are of one size.
Estimate paired_difference(std::span<const double> a, std::span<const double> b);

// The estimate of a[i] / b[i]; both are of one size.
Estimate paired_ratio(std::span<const double> a, std::span<const double> b);

}  // namespace braid::lab

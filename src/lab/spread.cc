#include "lab/spread.h"

#include <algorithm>
#include <cmath>

#include "base/status.h"

namespace braid::lab {

Spread spread_of(std::vector<double> samples) {
  BRAID_CHECK(!samples.empty(), "(samples)");
  std::sort(samples.begin(), samples.end());
  const auto quantile = [&](double share) {
    const double place = share * static_cast<double>(samples.size() - 1);
    const auto below = static_cast<size_t>(place);
    const size_t above = std::min(below + 1, samples.size() - 1);
    return std::lerp(samples[below], samples[above], place - static_cast<double>(below));
  };
  return {samples.front(), quantile(0.25), quantile(0.5), quantile(0.75), samples.back()};
}

}  // namespace braid::lab

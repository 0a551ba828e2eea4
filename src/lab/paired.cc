#include "lab/paired.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/status.h"

namespace braid::lab {

Estimate estimate(std::span<const double> samples) {
  BRAID_CHECK(!samples.empty(), "(no samples)");
  std::vector<double> sorted(samples.begin(), samples.end());
  std::sort(sorted.begin(), sorted.end());
  const auto n = static_cast<double>(sorted.size());
  const size_t middle = sorted.size() / 2;
  const double median =
      sorted.size() % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  // The number of samples below the true median is binomial (n, 1/2), here as a normal one.
  const double below = std::floor((n - 1.96 * std::sqrt(n)) / 2);
  const auto cut = static_cast<size_t>(std::max(below - 1, 0.0));
  return {median, sorted[cut], sorted[sorted.size() - 1 - cut]};
}

Estimate paired_difference(std::span<const double> a, std::span<const double> b) {
  BRAID_CHECK(a.size() == b.size(), "({} and {} samples)", a.size(), b.size());
  std::vector<double> differences;
  for (size_t i = 0; i < a.size(); ++i) differences.push_back(a[i] - b[i]);
  return estimate(differences);
}

Estimate paired_ratio(std::span<const double> a, std::span<const double> b) {
  BRAID_CHECK(a.size() == b.size(), "({} and {} samples)", a.size(), b.size());
  std::vector<double> ratios;
  for (size_t i = 0; i < a.size(); ++i) ratios.push_back(a[i] / b[i]);
  return estimate(ratios);
}

}  // namespace braid::lab

#include "ranks/log_likelihood.h"

#include <algorithm>
#include <cmath>

namespace braid::ranks {

double negative_log_likelihood(std::span<const float> logits, int64_t target) {
  const double highest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - highest);
  return highest + std::log(sum) - static_cast<double>(logits[static_cast<size_t>(target)]);
}

Error logits_not_finite() {
  return Error(ErrorKind::corrupt_data, "the model's logits are not finite")
      .remedy("Look for broken weights with --check-weights.");
}

}  // namespace braid::ranks

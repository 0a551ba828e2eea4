#include "experts/heat_balance.h"

#include <algorithm>
#include <numeric>

#include "base/status.h"

namespace braid::experts {

template <typename Count>
Balance balance_of(std::span<const Count> heat, std::span<const int32_t> holder_of, int32_t ranks) {
  BRAID_CHECK(heat.size() == holder_of.size() && ranks > 0, "({} experts, {} holders)", heat.size(),
              holder_of.size());
  std::vector<double> rows(static_cast<size_t>(ranks));
  for (size_t e = 0; e < heat.size(); ++e) {
    rows[static_cast<size_t>(holder_of[e])] += static_cast<double>(heat[e]);
  }
  return {.mean = std::accumulate(rows.begin(), rows.end(), 0.0) / ranks,
          .max = *std::max_element(rows.begin(), rows.end())};
}

template Balance balance_of(std::span<const uint64_t>, std::span<const int32_t>, int32_t);
template Balance balance_of(std::span<const double>, std::span<const int32_t>, int32_t);

}  // namespace braid::experts

// Made-up traffic for tests and benchmarks: rows that choose experts as a skewed router would.
#pragma once

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <vector>

#include "experts/placement.h"

namespace braid::experts::testing {

struct Traffic {
  int32_t layers = 0, experts = 0, top_k = 0, rows = 0;
  std::vector<int32_t> ids;  // [layers, rows, top_k], the experts of a row all different

  const int32_t* row(int32_t layer, int32_t row) const {
    return ids.data() + (int64_t{layer} * rows + row) * top_k;
  }
  std::vector<double> heat() const {  // [layers, experts]
    std::vector<double> heat(static_cast<size_t>(layers) * static_cast<size_t>(experts));
    const size_t of_layer = ids.size() / static_cast<size_t>(layers);
    for (size_t i = 0; i < ids.size(); ++i) {
      ++heat[i / of_layer * static_cast<size_t>(experts) + static_cast<size_t>(ids[i])];
    }
    return heat;
  }
};

// Expert number i of an order that differs from layer to layer has the weight 1 / (i + 1)^exponent;
// the same orders for every `draw`.
inline Traffic zipf_traffic(Traffic sizes, double exponent, uint32_t draw) {
  std::vector<double> sums(static_cast<size_t>(sizes.experts));
  double total = 0;
  for (size_t i = 0; i < sums.size(); ++i) {
    sums[i] = total += std::pow(static_cast<double>(i + 1), -exponent);
  }
  std::vector<int32_t> order(sums.size());
  std::mt19937_64 random(draw);
  for (int32_t layer = 0; layer < sizes.layers; ++layer) {
    std::iota(order.begin(), order.end(), 0);
    std::mt19937 of_layer(static_cast<uint32_t>(layer));
    for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[of_layer() % i]);
    for (int32_t row = 0; row < sizes.rows; ++row) {
      const auto first = sizes.ids.size();
      while (sizes.ids.size() < first + static_cast<size_t>(sizes.top_k)) {
        const double at = static_cast<double>(random() >> 11) * 0x1p-53 * total;
        const auto place = std::lower_bound(sums.begin(), sums.end(), at) - sums.begin();
        const int32_t expert = order[static_cast<size_t>(place)];
        const auto chosen = sizes.ids.begin() + static_cast<int64_t>(first);
        if (std::find(chosen, sizes.ids.end(), expert) == sizes.ids.end()) {
          sizes.ids.push_back(expert);
        }
      }
    }
  }
  return sizes;
}

// Sum over the layers of the mean rank's rows over that of the busiest rank's, counted row by row:
// row t goes to replica t mod count.
inline double served_evenness(const ExpertPlacement& placement, const Traffic& traffic) {
  const PlacementSizes& sizes = placement.sizes();
  const std::vector<int32_t> table = placement.table();
  const int32_t width = placement.most_replicas();
  double means = 0, most = 0;
  for (int32_t layer = 0; layer < sizes.layers; ++layer) {
    std::vector<int64_t> rows(static_cast<size_t>(sizes.ranks));
    for (int32_t t = 0; t < traffic.rows; ++t) {
      for (int32_t k = 0; k < traffic.top_k; ++k) {
        const int32_t* slots =
            table.data() + (int64_t{layer} * sizes.experts + traffic.row(layer, t)[k]) * width;
        const auto count = std::find(slots, slots + width, -1) - slots;
        ++rows[static_cast<size_t>(slots[t % count] / sizes.slots_of_rank())];
      }
    }
    means += static_cast<double>(traffic.rows) * traffic.top_k / sizes.ranks;
    most += static_cast<double>(*std::max_element(rows.begin(), rows.end()));
  }
  return means / most;
}

}  // namespace braid::experts::testing

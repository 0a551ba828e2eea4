// How evenly the ranks of the experts' mesh share the experts' work, by the experts' heat.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace braid::experts {

// Rows that ranks along moe_ep compute in one layer: each choice is a row of the rank that holds
// its expert.
struct Balance {
  double mean = 0;
  double max = 0;  // of the busiest, for which the others wait

  // 1: all ranks have equally many rows, or there are none.
  double balancedness() const { return max > 0 ? mean / max : 1; }
  // Layers run one after the other, so that their busiest ranks' rows add up.
  Balance operator+(const Balance& other) const { return {mean + other.mean, max + other.max}; }
};

// heat [E], holder_of [E]: which of the ranks 0 … ranks − 1 holds each expert.
template <typename Count>
Balance balance_of(std::span<const Count> heat, std::span<const int32_t> holder_of, int32_t ranks);

}  // namespace braid::experts

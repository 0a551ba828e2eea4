// Vector clocks over lanes: how many ops of each lane have ended before an op starts.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>

#include "flow/types.h"

namespace braid::flow {

using Clock = std::array<int32_t, kNumLanes>;

inline void merge(Clock& into, const Clock& other) {
  for (int lane = 0; lane < kNumLanes; ++lane) {
    const auto i = static_cast<size_t>(lane);
    into[i] = std::max(into[i], other[i]);
  }
}

// Every lane has progressed at least as far in `later` as `needed` asks.
inline bool covers(const Clock& later, const Clock& needed) {
  for (int lane = 0; lane < kNumLanes; ++lane) {
    const auto i = static_cast<size_t>(lane);
    if (later[i] < needed[i]) return false;
  }
  return true;
}

inline constexpr Clock kEndOfTime = {
    std::numeric_limits<int32_t>::max(), std::numeric_limits<int32_t>::max(),
    std::numeric_limits<int32_t>::max(), std::numeric_limits<int32_t>::max()};

}  // namespace braid::flow

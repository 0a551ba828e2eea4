// For tests of groups: their members, and what the members give.
#pragma once

#include <cstdint>
#include <numeric>
#include <vector>

namespace braid::comm::testing {

// 0, 1, … ranks − 1.
inline std::vector<int32_t> counted(int32_t ranks) {
  std::vector<int32_t> all(static_cast<size_t>(ranks));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

// Values whose sum depends on the order of the addition.
inline float value_of(int32_t rank, size_t index) {
  const uint32_t bits = (static_cast<uint32_t>(index) * 2654435761u) ^
                        (static_cast<uint32_t>(rank + 1) * 0x9e3779b9u);
  const float scale = (bits & 1) != 0 ? 1e6f : 1.0f;
  return scale * (static_cast<float>(bits >> 8) / 16777216.0f - 0.5f);
}

}  // namespace braid::comm::testing

// For tests: a kernel that writes memory late, and lets the next one start at once.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

namespace braid::ops::testing {

struct Piece {
  std::byte* to = nullptr;
  const std::byte* from = nullptr;
  int64_t bytes = 0;
};

// Copies `count` pieces, which stand in the GPU's memory, `late_ns` after it has started.
void launch_late_copy(const Piece* pieces, int count, int64_t late_ns, cudaStream_t stream);

}  // namespace braid::ops::testing

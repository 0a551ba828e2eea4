// For tests: a kernel that writes memory late, and lets the next one start at once; and one that
// does not wait for it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/kernel_stream.h"

namespace braid::ops::testing {

struct Piece {
  std::byte* to = nullptr;
  const std::byte* from = nullptr;
  int64_t bytes = 0;
};

// Copies `count` pieces, which stand in the GPU's memory, `late_ns` after it has started.
void launch_late_copy(const Piece* pieces, int count, int64_t late_ns, cudaStream_t stream);

// Copies a piece without awaiting the kernel before it: what no kernel of ours may do.
void launch_impatient_copy(const Piece& piece, const kernels::cuda::KernelStream& on);

}  // namespace braid::ops::testing

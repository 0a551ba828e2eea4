// For tests of kernels that overlap the one before them: a predecessor that is late.
#pragma once

#include <cstddef>

#include "kernels/cuda/kernel_stream.h"

namespace braid::kernels::cuda {

// Copies device memory when some 30 µs have passed: a kernel behind it that follows has long
// started by then. It lets that kernel start at once. Addresses and `bytes` are multiples of 16.
void copy_late(const void* from, void* to, size_t bytes, const KernelStream& on);

}  // namespace braid::kernels::cuda

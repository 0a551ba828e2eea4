// A queue's stream for a kernel that may overlap the one before it.
#pragma once

#include "device/cuda/cuda_queue.h"
#include "kernels/cuda/kernel_stream.h"

namespace braid::ops {

inline kernels::cuda::KernelStream kernel_stream(const device::CudaQueue& queue) {
  const device::CudaQueue::NextKernel next = queue.next_kernel();
  return {queue.stream(), next.follows, next.constant_weights};
}

}  // namespace braid::ops

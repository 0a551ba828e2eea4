// The stream that a kernel is enqueued on, and how the kernel stands to the one before it there.
//
// Programmatic dependent launch: a kernel that `follows` may start while the kernel before it still
// runs. It awaits that kernel's end itself, in every thread, before it touches anything but
// constant weights (launch.cuh).
#pragma once

#include <cuda_runtime_api.h>

namespace braid::kernels::cuda {

struct KernelStream {
  cudaStream_t stream = nullptr;
  bool follows = false;  // the launch is a programmatic one
  // Nothing that may still run writes the kernel's weights, nor what else its launcher says that it
  // reads early: it may read them before it awaits the kernel before it.
  bool constant_weights = false;

  KernelStream() = default;
  KernelStream(cudaStream_t plain) : stream(plain) {}  // implicit: most launches are plain ones
  KernelStream(cudaStream_t own, bool is_following, bool are_constant)
      : stream(own), follows(is_following), constant_weights(are_constant) {}
};

}  // namespace braid::kernels::cuda

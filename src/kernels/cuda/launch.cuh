// Launches of kernels that may overlap the kernel before them (programmatic dependent launch).
//
// Such a kernel keeps three rules:
// 1. Every thread of every block calls await_predecessor() before its first access to anything but
//    what rule 3 allows, and before it ends. The kernel before has then ended and all its writes
//    are seen; as that kernel kept the same rule, so have all kernels before it.
// 2. release_successor() lets the next kernel's blocks start as soon as there is room. It promises
//    nothing about memory: the next kernel awaits this one's end. Called behind await_predecessor()
//    it promises that all kernels before this one have ended when the next one starts.
// 3. Weights, and what kernels wrote that have ended so, are read before await_predecessor() only
//    where KernelStream::constant_weights says so.
//
// Both calls do nothing in a kernel that was launched plainly.
#pragma once

#include <cuda_runtime.h>

#include "kernels/cuda/kernel_stream.h"

namespace braid::kernels::cuda {

__device__ __forceinline__ void await_predecessor() {
  asm volatile("griddepcontrol.wait;" ::: "memory");
}

__device__ __forceinline__ void release_successor() {
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
}

// How a kernel begins that reads nothing early and leaves room for the next one's blocks.
__device__ __forceinline__ void start_in_turn() {
  release_successor();
  await_predecessor();
}

struct LaunchShape {
  dim3 grid;
  dim3 block;
  size_t shared_bytes = 0;  // dynamic; more than 48 KiB must have been allowed for the kernel
  unsigned cluster = 1;     // blocks of a cluster, along x
};

// Errors are left to cudaGetLastError(), which the executor asks after each op.
template <typename... Parameters, typename... Arguments>
void launch_kernel(const KernelStream& on, const LaunchShape& shape, void (*kernel)(Parameters...),
                   Arguments&&... arguments) {
  cudaLaunchAttribute attributes[2] = {};
  unsigned count = 0;
  if (on.follows) {
    attributes[count].id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attributes[count++].val.programmaticStreamSerializationAllowed = 1;
  }
  if (shape.cluster > 1) {
    attributes[count].id = cudaLaunchAttributeClusterDimension;
    attributes[count].val.clusterDim.x = shape.cluster;
    attributes[count].val.clusterDim.y = 1;
    attributes[count++].val.clusterDim.z = 1;
  }
  cudaLaunchConfig_t config = {};
  config.gridDim = shape.grid;
  config.blockDim = shape.block;
  config.dynamicSmemBytes = shape.shared_bytes;
  config.stream = on.stream;
  config.attrs = attributes;
  config.numAttrs = count;
  (void)cudaLaunchKernelEx(&config, kernel, Parameters(arguments)...);
}

}  // namespace braid::kernels::cuda

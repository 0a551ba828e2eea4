// The current device's SMs.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace braid::kernels::cuda {

inline int32_t num_sms() {
  int device = 0;
  int count = 0;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device);
  return count;
}

}  // namespace braid::kernels::cuda

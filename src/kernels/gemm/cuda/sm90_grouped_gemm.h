// The grouped GEMM's kernel as grouped_gemm.cc launches it: one function a tile size, each in a
// file of its own.
#pragma once

#include <cuda.h>
#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/cuda/kernel_stream.h"

namespace braid::kernels::cuda::sm90 {

// What the kernel is given beside the weights' tensor map [num_slots · n, k] with boxes of
// 64 columns and the tile's columns as rows. Strides are in elements.
struct GroupedGemmParams {
  const void* x = nullptr;  // bf16 [·, k]
  int64_t x_stride = 0;
  const int32_t* source = nullptr;   // x's row for each grouped row; null: the same
  const int32_t* offsets = nullptr;  // [num_slots + 1]
  void* y = nullptr;
  int64_t y_stride = 0;
  int32_t n = 0;
  int32_t k = 0;
  int32_t num_slots = 0;
  bool swiglu = false;
  bool f32_y = false;      // else bf16
  bool x_aligned = false;  // rows of x begin at multiples of 16 bytes
  bool y_aligned = false;
};

// Slots that the kernel's tables in shared memory have room for.
inline constexpr int32_t kMaxSlots = 1024;

// `rows`: most grouped rows that offsets can tell of. `sms`: how many the blocks are laid out for.
struct GroupedGemmLaunch {
  int64_t rows = 0;
  int32_t sms = 0;
  KernelStream on;
};
using GroupedGemmKernel = void(const CUtensorMap& weights, const GroupedGemmParams& params,
                               const GroupedGemmLaunch& launch);
GroupedGemmKernel grouped_gemm_64x64;
GroupedGemmKernel grouped_gemm_64x128;
GroupedGemmKernel grouped_gemm_128x256;

}  // namespace braid::kernels::cuda::sm90

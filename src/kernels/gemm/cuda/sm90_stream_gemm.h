// The kernels of the few-row GEMM as stream_gemm.cc launches them: one for each number of chunks of
// K whose x stays in registers, and one for more chunks.
#pragma once

#include <cuda.h>

#include <cstdint>

#include "kernels/cuda/kernel_stream.h"

namespace braid::kernels::cuda::sm90 {

// Columns of K in a stage: 8 warps take 128 each.
inline constexpr int kChunkColumns = 1024;
// Chunks of x [8, ·] that fit a thread's registers; of x [16, ·] half as many do.
inline constexpr int kMostResidentChunks = 4;
// Rows and chunks that stream_gemm_8 normalises itself. With one chunk rms_norm() adds squares in
// another order than the kernel does; more rows and chunks take longer than rms_norm().
inline constexpr int kMostNormRows = 8;
inline constexpr int kLeastNormChunks = 2;
inline constexpr int kMostNormChunks = kMostResidentChunks;

// What the kernel is given beside the weights' boxes (kernels/cuda/tensor_map.h) of 8 rows by one
// chunk. Strides are in elements.
struct StreamGemmParams {
  const void* x = nullptr;  // bf16 [rows, k], rows at multiples of 16 bytes
  int64_t x_stride = 0;
  int32_t rows = 0;  // ≤ 8 · the kernel's halves
  int32_t k = 0;     // a multiple of 64
  int32_t chunks = 0;
  int32_t tiles = 0;                  // of 8 rows of weights
  const void* bias = nullptr;         // bf16 [n], or null
  const void* norm_weight = nullptr;  // bf16 [k], or null: x is taken as it is
  float norm_eps = 0;
  const void* residual = nullptr;  // of y's format, or null
  int64_t residual_stride = 0;
  void* y = nullptr;  // bf16 or f32; pairs of elements are aligned, and so are residual's
  int64_t y_stride = 0;
  bool f32_y = false;
  bool swiglu = false;
  bool constant_weights = false;  // as in KernelStream
  int32_t stages = 0;
};

// `blocks`: no more than tiles, one an SM.
using StreamGemmLaunch = void(const CUtensorMap& weights, const StreamGemmParams& params,
                              const KernelStream& on, int blocks);
StreamGemmLaunch stream_gemm_8;   // for up to 8 rows
StreamGemmLaunch stream_gemm_16;  // for up to 16, with the same bits

}  // namespace braid::kernels::cuda::sm90

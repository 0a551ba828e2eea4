// What is left of a GEMM when its sums stand in scratch memory: bias, SwiGLU, rounding,
// residual.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/cuda/kernel_stream.h"
#include "kernels/gemm/gemm_desc.h"

namespace braid::kernels::cuda {

// y [rows, n or n / 2] = epilogue(Σ sums [parts, rows, n] + bias [n]), in float32, rounded once.
// f32 and bf16. The parts, which follow one another without a gap, are added in order. Strides are
// in elements; sums' is a multiple of 16 and its address one of 256, y's and the residual's are
// any. The residual is added to the rounded y, and the sum rounded.
struct FinishGemm {
  Epilogue epilogue = Epilogue::none;
  int64_t rows = 0;
  int64_t n = 0;
  const void* sums = nullptr;
  int64_t sums_stride = 0;
  int32_t parts = 1;
  bool f32_sums = true;        // else bf16
  const void* bias = nullptr;  // null: none
  bool f32_bias = true;
  const void* residual = nullptr;  // of y's format; null: none
  int64_t residual_stride = 0;
  void* y = nullptr;
  int64_t y_stride = 0;
  bool f32_y = true;
};

void finish_gemm(const FinishGemm& finish, const KernelStream& on);

}  // namespace braid::kernels::cuda

// What is left of a GEMM when its sums stand in scratch memory: bias, SwiGLU, rounding.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/cuda/kernel_stream.h"
#include "kernels/gemm/gemm_desc.h"

namespace braid::kernels::cuda {

// y [rows, n or n / 2] = epilogue(Σ sums [parts, rows, n] + bias [n]), in float32, rounded once.
// f32 and bf16. The parts, which follow one another without a gap, are added in order. Strides are
// in elements; sums' is a multiple of 16 and its address one of 256, y's are any.
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
  void* y = nullptr;
  int64_t y_stride = 0;
  bool f32_y = true;
};

void finish_gemm(const FinishGemm& finish, const KernelStream& on);

}  // namespace braid::kernels::cuda

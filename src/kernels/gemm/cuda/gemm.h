// Dense GEMM on the GPU: y = epilogue(x · Wᵀ + bias). Up to 16 tuned rows of bf16 by kernels of our
// own (stream_gemm.h), else by cuBLASLt with a configuration that is chosen once for the op's tuned
// rows (blas_config.h). Row-invariant: a row of y is bitwise the same in whatever part of the op it
// is computed, and in any op of 16 tuned rows or fewer.
//
// x [rows, K], W [N, K] or k_slots blocks [N, K / k_slots] one after the other, bias [N],
// y [rows, N] or [rows, N / 2]. Formats: bf16 to bf16 or f32, and f32 to f32; bias has x's format.
//
// All `rows` rows are computed, also those behind the rows that are real: what stands there must be
// readable, may be garbage, and gives garbage in the same row of y.
//
// An RMSNorm before and a residual added behind give the bits of rms_norm() and add().
//
// With cuBLASLt, SwiGLU and sums over k_slots take the op's scratch memory. Sums over k_slots are
// made in float32 there, in the order of the slots, and rounded once. SwiGLU of bf16 to bf16
// without k_slots rounds gate and up to bf16 in between, as two ops would.
#pragma once

#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include <cstdint>
#include <string>

#include "base/format.h"
#include "base/status.h"
#include "kernels/cuda/kernel_stream.h"
#include "kernels/gemm/gemm_desc.h"

namespace braid::kernels::cuda {

struct BlasKey;  // blas_config.h

// What is known of an op before it has memory.
struct GemmShape {
  int64_t n = 0;              // rows of W, of one of its k_slots blocks
  int64_t k = 0;              // columns of x
  Format in = Format::bf16;   // x, W and bias
  Format out = Format::bf16;  // y
  bool bias = false;
  bool norm = false;      // x is normalised first: there is a norm_weight
  bool residual = false;  // is added to y
};

// Addresses, and elements from row to row.
struct GemmOperands {
  const void* x = nullptr;
  int64_t x_stride = 0;
  const void* w = nullptr;
  int64_t w_stride = 0;
  const void* bias = nullptr;  // null: none
  void* y = nullptr;
  int64_t y_stride = 0;
  const void* norm_weight = nullptr;  // [K] of x's format
  const void* residual = nullptr;     // of y's shape and format, in other memory
  int64_t residual_stride = 0;
};

// Where products run: no two at a time may share a workspace of kBlasWorkspaceBytes.
struct BlasQueue {
  KernelStream stream;
  cublasLtHandle_t handle = nullptr;
  void* workspace = nullptr;
};

// Refuses by name the formats and sizes that no kernel takes; needs no GPU.
Status can_gemm(const GemmDesc& desc, const GemmShape& shape);

// Chooses the configuration that gemm() uses for `rows` rows of whole operands on the current
// device. Without this call gemm() does it at its first launch, which must then not be captured.
Status prepare_gemm(const GemmDesc& desc, const GemmShape& shape, int64_t rows);

// Bytes of scratch memory, aligned to 256, that gemm() needs for `rows` rows.
int64_t gemm_scratch_bytes(const GemmDesc& desc, const GemmShape& shape, int64_t rows);

// What gemm()'s kernels keep of kernels/cuda/launch.cuh's rules: `follows` where the first of them
// awaits the kernel before it, `reads_early` where W is read before that, if it is constant.
struct GemmOverlap {
  bool follows = false;
  bool reads_early = false;
};
GemmOverlap gemm_overlap(const GemmDesc& desc, const GemmShape& shape, int64_t rows);

// `sm_count`: SMs that the products may use; 0 is all of them. It changes no bit of y.
void gemm(const GemmDesc& desc, const GemmShape& shape, int64_t rows, const GemmOperands& operands,
          void* scratch, const BlasQueue& queue, int32_t sm_count = 0);

// What cuBLASLt is asked for to do an op on whole operands, where it does it.
BlasKey gemm_blas_key(const GemmDesc& desc, const GemmShape& shape, int64_t rows);

// The configuration as text, for the current device.
Result<std::string> explain_gemm(const GemmDesc& desc, const GemmShape& shape, int64_t rows);

}  // namespace braid::kernels::cuda

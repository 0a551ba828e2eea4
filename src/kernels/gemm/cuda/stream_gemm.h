// The few-row GEMM: products of bf16 at 16 rows or fewer, by kernels of our own that read W as fast
// as memory gives it (sm90_stream_gemm.cuh). All of them give a row the same bits, however many
// rows there are, and so do all configurations of one product.
#pragma once

#include <optional>
#include <string>

#include "kernels/cuda/kernel_stream.h"
#include "kernels/gemm/cuda/gemm.h"

namespace braid::kernels::cuda {

// Most tuned rows of an op that it takes.
inline constexpr int64_t kMostStreamRows = 16;

// How a product is done: a function of N, K, formats and epilogue; `norm`, which changes no bit, of
// the tuned rows, too.
struct StreamGemmConfig {
  int32_t chunks = 0;  // of 1024 columns of K
  int32_t stages = 0;  // of 16 KiB, in an SM's ring of weights
  bool norm = false;   // x is normalised by the product itself, where it is to be

  bool operator==(const StreamGemmConfig&) const = default;
};

// None where cuBLASLt does it: other formats than bf16 weights, more rows, k_slots, N that is no
// multiple of 8 or K that is none of 64.
std::optional<StreamGemmConfig> stream_gemm_config(const GemmDesc& desc, const GemmShape& shape,
                                                   int64_t rows);

// Whether the kernel can access these operands: rows of x and W on 16 bytes, pairs of elements of
// y, bias and residual on their size.
bool can_stream(const GemmShape& shape, const GemmOperands& operands);

// `sm_count`: SMs to use; 0 is all of them. It changes no bit of y. x is normalised only if the
// config says so.
void stream_gemm(const GemmDesc& desc, const GemmShape& shape, const StreamGemmConfig& config,
                 int64_t rows, const GemmOperands& operands, const KernelStream& on,
                 int32_t sm_count);

// "stream 8x1024, 2 chunks, 6 stages of 16 KiB"
std::string to_string(const StreamGemmConfig& config);

}  // namespace braid::kernels::cuda

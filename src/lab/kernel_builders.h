// How the kernels that `bench kernel` knows are written; kernel_cases.cc has the list.
#pragma once

#include "lab/kernel_case.h"

namespace braid::lab {

inline double bytes_of_values(const KernelLayer& layer, double elements) {
  return elements * static_cast<double>(bytes_of(layer.dtype));
}

// kernel_products.cc: [residual +] epilogue([norm of] x · Wᵀ) in one op, with the kernel for as
// many rows, or for more than the streaming one takes; and each step an op of its own.
flow::Work build_gemm(KernelLayer& layer);
flow::Work build_gemm_for_some_rows(KernelLayer& layer);
flow::Work build_gemm_apart(KernelLayer& layer);
bool has_few_rows(const KernelSetting& setting);
bool has_more_steps(const KernelSetting& setting);
// The rows of every expert by its own W: as a step of so many rows has it, where few rows' weights
// are streamed; and by tiles of 64 rows and more, as where a step's rows are not known.
flow::Work build_grouped_gemm(KernelLayer& layer);
flow::Work build_tiled_gemm(KernelLayer& layer);
// A layer's experts behind the router, the second product with all that follows it or apart.
flow::Work build_experts(KernelLayer& layer);
flow::Work build_experts_apart(KernelLayer& layer);

// kernel_attention.cc: attention of one row of each sequence; and that with the product of q, k and
// v before it, norms of the heads, rotary embedding and the write into the cache.
flow::Work build_attention(KernelLayer& layer);
flow::Work build_decode_attention(KernelLayer& layer);
Result<flow::Program> fuse_attention(flow::Program program, const passes::PassContext& context);

}  // namespace braid::lab

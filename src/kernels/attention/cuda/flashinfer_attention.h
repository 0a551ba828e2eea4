// FlashInfer's paged prefill kernel with a plan of ours.
#pragma once

#include "kernels/attention/cuda/attention.h"

namespace braid::kernels::cuda {

// As attention(), but for rows of padding, which stay as they are.
void flashinfer_attention(const AttentionDesc& desc, const PagedRows& rows, Matrix<const bf16> q,
                          Matrix<const bf16> cache, Matrix<bf16> out, const AttentionPlan& plan,
                          cudaStream_t stream);

}  // namespace braid::kernels::cuda

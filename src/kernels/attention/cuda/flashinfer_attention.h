// FlashInfer's paged prefill kernel with a plan of ours.
#pragma once

#include "kernels/attention/cuda/attention_plan.h"

namespace braid::kernels::cuda {

// As attention(), for a plan that is already enqueued.
void flashinfer_attention(const AttentionDesc& desc, const PagedRows& rows, Matrix<const bf16> q,
                          Matrix<const bf16> cache, Matrix<bf16> out, const AttentionPlan& plan,
                          cudaStream_t stream);

}  // namespace braid::kernels::cuda

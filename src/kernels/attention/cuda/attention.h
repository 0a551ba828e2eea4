// Grouped-query attention over the paged cache on the GPU, for bf16 and head_dim 64 or 128.
#pragma once

#include <cuda_runtime_api.h>

#include "kernels/attention/attention_plan.h"
#include "kernels/attention/paged_rows.h"
#include "kernels/cuda/kernel_stream.h"
#include "kernels/cuda/matrix.h"

namespace braid::kernels::cuda {

// source [rows, cols], slots [rows], cache [·, cols]. T: float, bf16.
template <typename T>
void kv_write(int64_t rows, int64_t cols, Matrix<const T> source, const int32_t* slots,
              Matrix<T> cache, const KernelStream& on);

// Whether there is a kernel for these sizes.
bool can_attend(const AttentionDesc& desc);

// Whose plan attention() takes.
inline AttentionPlanDesc plan_desc_of(const AttentionDesc& desc) {
  return {desc.num_heads / desc.num_kv_heads};
}

// q [rows, heads · head_dim], cache [·, 2 · kv_heads · head_dim], rows and strides on 16 bytes; out
// like q, but without gaps between its rows; plan: plan_attention()'s of these rows. A row's result
// depends on its own sequence and on whether it is taken alone: the only row of its sequence here,
// or one of no more rows than sequences.
//
// Where there are more rows than sequences, the rows of each sequence follow one another and so do
// their positions. The block table names pages of the cache everywhere, also behind a sequence's
// last page, where none is read.
void attention(const AttentionDesc& desc, const PagedRows& rows, Matrix<const bf16> q,
               Matrix<const bf16> cache, Matrix<bf16> out, const AttentionPlan& plan,
               const KernelStream& on);

}  // namespace braid::kernels::cuda

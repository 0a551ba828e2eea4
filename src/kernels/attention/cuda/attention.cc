#include "kernels/attention/cuda/attention.h"

#include "base/status.h"
#include "kernels/attention/cuda/attention_plan.h"
#include "kernels/attention/cuda/flashinfer_attention.h"

namespace braid::kernels::cuda {

bool can_attend(const AttentionDesc& desc) {
  return (desc.head_dim == 64 || desc.head_dim == 128) && desc.num_kv_heads > 0 &&
         desc.num_heads % desc.num_kv_heads == 0;
}

int64_t attention_scratch_bytes(const AttentionDesc& desc, int64_t rows, int64_t num_sequences) {
  return AttentionPlan(desc, rows, num_sequences, nullptr).bytes;
}

void attention(const AttentionDesc& desc, const PagedRows& rows, Matrix<const bf16> q,
               Matrix<const bf16> cache, Matrix<bf16> out, std::byte* scratch,
               const KernelStream& on) {
  const int64_t cols = int64_t{desc.num_heads} * desc.head_dim;
  BRAID_CHECK(can_attend(desc), "heads {}/{} of {}", desc.num_heads, desc.num_kv_heads,
              desc.head_dim);
  BRAID_CHECK(is_packed(cols, q) && is_packed(cols, cache) && is_packed(cols, out), "alignment");
  BRAID_CHECK(out.stride == cols, "stride {} cols {}", out.stride, cols);
  if (rows.rows == 0) return;
  const AttentionPlan plan(desc, rows.rows, rows.num_sequences, scratch);
  // FlashInfer reads the plan before it awaits its predecessor: it is launched plainly.
  plan_attention(plan, rows, cols, out, on);
  flashinfer_attention(desc, rows, q, cache, out, plan, on.stream);
}

}  // namespace braid::kernels::cuda

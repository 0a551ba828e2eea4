#include "kernels/attention/cuda/attention.h"

#include "base/status.h"
#include "kernels/attention/cuda/flashinfer_attention.h"
#include "kernels/attention/cuda/zero_padding.h"

namespace braid::kernels::cuda {

bool can_attend(const AttentionDesc& desc) {
  return (desc.head_dim == 64 || desc.head_dim == 128) && desc.num_kv_heads > 0 &&
         desc.num_heads % desc.num_kv_heads == 0;
}

void attention(const AttentionDesc& desc, const PagedRows& rows, Matrix<const bf16> q,
               Matrix<const bf16> cache, Matrix<bf16> out, const AttentionPlan& plan,
               const KernelStream& on) {
  const int64_t cols = int64_t{desc.num_heads} * desc.head_dim;
  BRAID_CHECK(can_attend(desc), "heads {}/{} of {}", desc.num_heads, desc.num_kv_heads,
              desc.head_dim);
  BRAID_CHECK(is_packed(cols, q) && is_packed(cols, cache) && is_packed(cols, out), "alignment");
  BRAID_CHECK(out.stride == cols, "stride {} cols {}", out.stride, cols);
  if (rows.rows == 0) return;
  zero_padding(rows, cols, out, on);
  // FlashInfer awaits no predecessor: it is launched plainly.
  flashinfer_attention(desc, rows, q, cache, out, plan, on.stream);
}

}  // namespace braid::kernels::cuda

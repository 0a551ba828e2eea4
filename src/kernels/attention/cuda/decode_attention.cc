#include "kernels/attention/cuda/decode_attention.h"

#include <algorithm>

#include "base/status.h"
#include "kernels/attention/cuda/attention.h"
#include "kernels/attention/cuda/attention_plan.h"
#include "kernels/attention/cuda/sm90_decode_attention.h"
#include "kernels/norm/cuda/norm.h"
#include "kernels/rotary/cuda/rotary.h"
#include "kernels/rows/cuda/rows.h"

namespace braid::kernels::cuda {
namespace {

constexpr int64_t kMaxGroup = 16;

int64_t qkv_columns(const AttentionDesc& a) {
  return (int64_t{a.num_heads} + 2 * int64_t{a.num_kv_heads}) * a.head_dim;
}

// The single steps, on a copy of qkv in scratch memory.
void decode_in_steps(const DecodeAttentionDesc& desc, const DecodeAttentionArgs& args,
                     cudaStream_t stream) {
  const AttentionDesc& a = desc.attention;
  const int64_t rows = args.rows.rows, cols = qkv_columns(a);
  const int64_t q_cols = int64_t{a.num_heads} * a.head_dim;
  const int64_t kv_cols = int64_t{a.num_kv_heads} * a.head_dim;
  const Matrix<bf16> qkv{reinterpret_cast<bf16*>(args.scratch), cols};
  const Matrix<const bf16> q{qkv.data, cols};
  const int64_t row_bytes = cols * static_cast<int64_t>(sizeof(bf16));
  copy_rows(rows, row_bytes, reinterpret_cast<const std::byte*>(args.qkv.data),
            args.qkv.stride * static_cast<int64_t>(sizeof(bf16)), args.scratch, row_bytes, stream);
  const auto norm = [&](const bf16* weights, int64_t first, int64_t count) {
    if (weights == nullptr) return;
    const RmsNormDesc norm_desc{desc.eps, a.head_dim};
    rms_norm<bf16>(norm_desc, {rows}, count, {qkv.data + first, cols}, weights,
                   {qkv.data + first, cols}, stream);
  };
  norm(args.q_norm, 0, q_cols);
  norm(args.k_norm, q_cols, kv_cols);
  rotary<bf16>(desc.rotary, rows, q_cols + kv_cols, args.rotary_table, qkv, stream);
  kv_write<bf16>(rows, 2 * kv_cols, {qkv.data + q_cols, cols}, args.kv_slots, args.cache, stream);
  const AttentionPlan plan(plan_desc_of(a), rows, args.rows.num_sequences,
                           reinterpret_cast<int32_t*>(args.scratch + rows * row_bytes));
  plan_attention(plan, args.rows, stream);
  attention(a, args.rows, q, {args.cache.data, args.cache.stride}, args.out, plan, stream);
}

}  // namespace

bool can_fuse_decode(const DecodeAttentionDesc& desc) {
  const AttentionDesc& a = desc.attention;
  const RotaryDesc& r = desc.rotary;
  return can_attend(a) && a.num_heads <= kMaxGroup * a.num_kv_heads && r.head_dim == a.head_dim &&
         r.offset == 0 && r.interleaved == 0 && r.dims <= a.head_dim && r.dims % (2 * kPack) == 0;
}

int64_t decode_attention_scratch_bytes(const DecodeAttentionDesc& desc, int64_t rows,
                                       int64_t num_sequences) {
  if (can_fuse_decode(desc)) return sm90_decode_scratch_bytes(desc, rows);
  return rows * qkv_columns(desc.attention) * static_cast<int64_t>(sizeof(bf16)) +
         AttentionPlan(plan_desc_of(desc.attention), rows, num_sequences).words *
             static_cast<int64_t>(sizeof(int32_t));
}

void decode_attention(const DecodeAttentionDesc& desc, const DecodeAttentionArgs& args,
                      const KernelStream& stream) {
  const AttentionDesc& a = desc.attention;
  BRAID_CHECK(can_attend(a), "heads {}/{} of {}", a.num_heads, a.num_kv_heads, a.head_dim);
  const int64_t cols = int64_t{a.num_heads} * a.head_dim;
  BRAID_CHECK(is_packed(cols, args.qkv) && is_packed(cols, args.cache) && is_packed(cols, args.out),
              "alignment");
  BRAID_CHECK(args.out.stride == cols, "stride {} cols {}", args.out.stride, cols);
  if (args.rows.rows == 0) return;
  if (can_fuse_decode(desc)) {
    sm90_decode_attention(desc, args, stream);
  } else {
    decode_in_steps(desc, args, stream.stream);
  }
}

}  // namespace braid::kernels::cuda

#include "kernels/attention/cpu/decode_attention.h"

#include <algorithm>

#include "kernels/attention/cpu/attention.h"
#include "kernels/norm/cpu/norm.h"
#include "kernels/rotary/cpu/rotary.h"

namespace braid::kernels::cpu {
namespace {

int64_t qkv_columns(const AttentionDesc& a) {
  return (int64_t{a.num_heads} + 2 * int64_t{a.num_kv_heads}) * a.head_dim;
}

// Bytes of the copy of qkv, rounded up so that pointers may follow.
int64_t copy_bytes(const DecodeAttentionDesc& desc, int64_t rows, int64_t element_bytes) {
  return (rows * qkv_columns(desc.attention) * element_bytes + 63) / 64 * 64;
}

int32_t length_of(const PagedRows& rows, int64_t row) {
  return rows.sequences[row] < 0 ? 0 : rows.positions[row] + 1;
}

// The largest of the cheapest sizes of shares of which there are not too many.
int32_t choose_size(const DecodePlanDesc& desc, const PagedRows& rows, int64_t capacity) {
  int32_t best = kShareSizes - 1;
  int64_t least = INT64_MAX;
  for (int32_t size = kShareSizes - 1; size >= 0; --size) {
    int64_t shares = 0, longest = 0;
    for (int64_t row = 0; row < rows.rows; ++row) {
      const int64_t mine = shares_of(length_of(rows, row), size);
      shares += mine;
      longest = std::max(longest, mine);
    }
    const int64_t cost = share_cost(shares, longest, size, desc.num_kv_heads);
    if (shares <= capacity && cost < least) {
      best = size;
      least = cost;
    }
  }
  return best;
}

void count_parts(const PagedRows& rows, int64_t num_kv_heads, int32_t* plan) {
  int32_t* arrivals = plan + DecodePlanLayout(rows.rows, num_kv_heads).arrivals;
  const int32_t share_leaves = plan[1];
  for (int64_t row = 0; row < rows.rows; ++row) {
    const int32_t parts = (leaves_of(length_of(rows, row)) + share_leaves - 1) / share_leaves;
    for (int64_t head = 0; head < num_kv_heads; ++head) *arrivals++ += parts;
  }
}

}  // namespace

void plan_decode(const DecodePlanDesc& desc, const PagedRows& rows, int32_t* plan) {
  const DecodePlanLayout layout(rows.rows, desc.num_kv_heads);
  const int32_t size = choose_size(desc, rows, layout.capacity);
  std::fill_n(plan, layout.words, 0);
  int32_t* share = plan + DecodePlanLayout::kHeaderWords;
  for (int64_t row = 0; row < rows.rows; ++row) {
    const int32_t length = length_of(rows, row);
    for (int32_t i = 0; i < shares_of(length, size); ++i) {
      const int32_t words[] = {static_cast<int32_t>(row), i << size, length, rows.sequences[row]};
      share = std::copy_n(words, DecodePlanLayout::kShareWords, share);
      ++plan[0];
    }
  }
  plan[1] = 1 << size;
}

int64_t decode_attention_scratch_bytes(const DecodeAttentionDesc& desc, int64_t rows,
                                       int64_t element_bytes, int64_t max_positions) {
  return copy_bytes(desc, rows, element_bytes) +
         attention_scratch_bytes(desc.attention, max_positions);
}

template <typename T>
void decode_attention(const DecodeAttentionDesc& desc, const DecodeAttentionArgs<T>& args,
                      std::byte* scratch) {
  const AttentionDesc& a = desc.attention;
  const int64_t rows = args.rows.rows, cols = qkv_columns(a);
  const int64_t q_cols = int64_t{a.num_heads} * a.head_dim;
  const int64_t kv_cols = int64_t{a.num_kv_heads} * a.head_dim;
  const Matrix<T> qkv{reinterpret_cast<T*>(scratch), cols};
  for (int64_t row = 0; row < rows; ++row) std::copy_n(args.qkv.row(row), cols, qkv.row(row));
  const auto norm = [&](const T* weights, int64_t first, int64_t count) {
    if (weights == nullptr) return;
    rms_norm<T>({desc.eps, a.head_dim}, rows, count, {qkv.data + first, cols}, weights,
                {qkv.data + first, cols});
  };
  norm(args.q_norm, 0, q_cols);
  norm(args.k_norm, q_cols, kv_cols);
  rotary<T>(desc.rotary, rows, q_cols + kv_cols, args.rotary_table, qkv);
  kv_write<T>(rows, 2 * kv_cols, {qkv.data + q_cols, cols}, args.kv_slots, args.cache);
  count_parts(args.rows, a.num_kv_heads, args.plan);
  attention<T>(a, args.rows, {qkv.data, cols}, {args.cache.data, args.cache.stride}, args.out,
               scratch + copy_bytes(desc, rows, sizeof(T)));
}

template void decode_attention(const DecodeAttentionDesc&, const DecodeAttentionArgs<float>&,
                               std::byte*);
template void decode_attention(const DecodeAttentionDesc&, const DecodeAttentionArgs<bf16>&,
                               std::byte*);

}  // namespace braid::kernels::cpu

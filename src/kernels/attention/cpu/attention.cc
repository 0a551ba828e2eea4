#include "kernels/attention/cpu/attention.h"

#include "base/status.h"
#include "kernels/attention/cpu/attend.h"
#include "kernels/attention/cpu/pages.h"

namespace braid::kernels::cpu {

template <typename T>
void kv_write(int64_t rows, int64_t cols, Matrix<const T> source, const int32_t* slots,
              Matrix<T> cache) {
  for (int64_t row = 0; row < rows; ++row) {
    if (slots[row] >= 0) std::copy_n(source.row(row), cols, cache.row(slots[row]));
  }
}

int64_t attention_scratch_bytes(const AttentionDesc& desc, int64_t max_positions) {
  const int64_t group = desc.num_heads / desc.num_kv_heads;
  return max_positions * int64_t{sizeof(void*)} +
         group * (max_positions + 2 * desc.head_dim) * int64_t{sizeof(float)};
}

template <typename T>
void attention(const AttentionDesc& desc, const PagedRows& rows, Matrix<const T> q,
               Matrix<const T> cache, Matrix<T> out, std::byte* scratch) {
  BRAID_CHECK(desc.num_kv_heads > 0 && desc.num_heads % desc.num_kv_heads == 0,
              "num_heads {} num_kv_heads {}", desc.num_heads, desc.num_kv_heads);
  const int64_t group = desc.num_heads / desc.num_kv_heads;
  const int64_t dim = desc.head_dim;
  for (int64_t t = 0; t < rows.rows; ++t) {
    if (rows.sequences[t] < 0) {
      std::fill_n(out.row(t), desc.num_heads * dim, T{});
      continue;
    }
    const int64_t count = rows.positions[t] + int64_t{1};
    std::byte* free = scratch;
    const T** cached = take<const T*>(free, count);
    auto* query = take<float>(free, group * dim);
    auto* result = take<float>(free, group * dim);
    auto* scores = take<float>(free, group * count);
    find_rows(rows, t, desc.page_size, cache, cached);
    for (int64_t kv = 0; kv < desc.num_kv_heads; ++kv) {
      const int64_t first = kv * group * dim;
      for (int64_t i = 0; i < group * dim; ++i) query[i] = to_float(q.row(t)[first + i]);
      const Attended<T> to{cached, count, kv * dim, dim, (desc.num_kv_heads + kv) * dim, dim};
      attend(group, desc.scale, to, query, scores, result);
      for (int64_t i = 0; i < group * dim; ++i) out.row(t)[first + i] = from_float<T>(result[i]);
    }
  }
}

template void kv_write(int64_t, int64_t, Matrix<const float>, const int32_t*, Matrix<float>);
template void kv_write(int64_t, int64_t, Matrix<const bf16>, const int32_t*, Matrix<bf16>);
template void attention(const AttentionDesc&, const PagedRows&, Matrix<const float>,
                        Matrix<const float>, Matrix<float>, std::byte*);
template void attention(const AttentionDesc&, const PagedRows&, Matrix<const bf16>,
                        Matrix<const bf16>, Matrix<bf16>, std::byte*);

}  // namespace braid::kernels::cpu

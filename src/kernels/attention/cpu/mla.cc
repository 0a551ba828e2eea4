#include "base/status.h"
#include "kernels/attention/cpu/attend.h"
#include "kernels/attention/cpu/attention.h"
#include "kernels/attention/cpu/pages.h"

namespace braid::kernels::cpu {
namespace {

// Heads that the absorbed form takes together: they read the cache once.
constexpr int64_t kHeadBlock = 12;

template <typename T>
struct Problem {
  const MlaDesc& desc;
  const PagedRows& rows;
  Matrix<const T> q;
  Matrix<const T> cache;
  Matrix<const T> kv_b;
  Matrix<T> out;

  int64_t key_dim() const { return desc.nope_dim + desc.rope_dim; }
  const T* query(int64_t t, int64_t head) const { return q.row(t) + head * key_dim(); }
  T* result(int64_t t, int64_t head) const { return out.row(t) + head * desc.v_head_dim; }
  // Rows of kv_b that give the head's keys, and those that give its values.
  const T* key_weight(int64_t head, int64_t i) const {
    return kv_b.row(head * (desc.nope_dim + desc.v_head_dim) + i);
  }
  const T* value_weight(int64_t head, int64_t i) const {
    return key_weight(head, desc.nope_dim + i);
  }
};

template <typename T>
void store_row(int64_t count, const float* from, T* to) {
  for (int64_t i = 0; i < count; ++i) to[i] = from_float<T>(from[i]);
}

template <typename T>
void load_row(int64_t count, const T* from, float* to) {
  for (int64_t i = 0; i < count; ++i) to[i] = to_float(from[i]);
}

// Row t for heads [first, first + heads): q_nope is brought into the latents' space, where all
// heads share one key (the cache row) and one value (its latent).
template <typename T>
void absorbed_heads(const Problem<T>& problem, int64_t t, int64_t first, int64_t heads,
                    const T* const* cached, std::byte* free) {
  const MlaDesc& desc = problem.desc;
  const int64_t rank = desc.kv_lora_rank;
  const int64_t width = rank + desc.rope_dim;
  const int64_t count = problem.rows.positions[t] + int64_t{1};
  auto* query = take<float>(free, heads * width);
  auto* latent = take<float>(free, heads * rank);
  auto* part = take<float>(free, std::max(desc.nope_dim, desc.v_head_dim));
  auto* scores = take<float>(free, heads * count);
  for (int64_t h = 0; h < heads; ++h) {
    const int64_t head = first + h;
    load_row(desc.nope_dim, problem.query(t, head), part);
    sum_rows<T>(
        1, part, 0, desc.nope_dim, [&](int64_t i) { return problem.key_weight(head, i); }, rank,
        query + h * width);
    load_row(desc.rope_dim, problem.query(t, head) + desc.nope_dim, query + h * width + rank);
  }
  attend(heads, desc.scale, Attended<T>{cached, count, 0, width, 0, rank}, query, scores, latent);
  for (int64_t h = 0; h < heads; ++h) {
    dot_rows(
        1, desc.v_head_dim, rank, [&](int64_t) -> const float* { return latent + h * rank; },
        [&](int64_t i) { return problem.value_weight(first + h, i); }, part, 0);
    store_row(desc.v_head_dim, part, problem.result(t, first + h));
  }
}

template <typename T>
void absorbed(const Problem<T>& problem, std::byte* scratch) {
  const MlaDesc& desc = problem.desc;
  for (int64_t t = 0; t < problem.rows.rows; ++t) {
    if (problem.rows.sequences[t] < 0) continue;
    std::byte* free = scratch;
    const T** cached = take<const T*>(free, problem.rows.positions[t] + int64_t{1});
    find_rows(problem.rows, t, desc.page_size, problem.cache, cached);
    for (int64_t head = 0; head < desc.num_heads; head += kHeadBlock) {
      const int64_t heads = std::min(kHeadBlock, desc.num_heads - head);
      absorbed_heads(problem, t, head, heads, cached, free);
    }
  }
}

// One past the last of the rows from `first` on that follow each other in one sequence: they use
// the same expanded keys and values. `last` is where the furthest position among them stands.
struct Run {
  int64_t end;
  int64_t last;
};

Run find_run(const PagedRows& rows, int64_t first) {
  Run run{first + 1, first};
  for (; run.end < rows.rows && rows.sequences[run.end] == rows.sequences[first]; ++run.end) {
    if (rows.positions[run.end] > rows.positions[run.last]) run.last = run.end;
  }
  return run;
}

// The head's keys and values of cached rows [count] → expanded [count, key | value].
template <typename T>
void expand(const Problem<T>& problem, int64_t head, int64_t count, const T* const* cached,
            const float** expanded, float* storage) {
  const MlaDesc& desc = problem.desc;
  const int64_t rank = desc.kv_lora_rank;
  const int64_t width = problem.key_dim() + desc.v_head_dim;
  const auto latent = [&](int64_t i) { return cached[i]; };
  dot_rows(
      count, desc.nope_dim, rank, latent, [&](int64_t i) { return problem.key_weight(head, i); },
      storage, width);
  dot_rows(
      count, desc.v_head_dim, rank, latent,
      [&](int64_t i) { return problem.value_weight(head, i); }, storage + problem.key_dim(), width);
  for (int64_t i = 0; i < count; ++i) {
    load_row(desc.rope_dim, cached[i] + rank, storage + i * width + desc.nope_dim);
    expanded[i] = storage + i * width;
  }
}

template <typename T>
void expanded_run(const Problem<T>& problem, int64_t first, const Run& run, std::byte* free) {
  const MlaDesc& desc = problem.desc;
  const int64_t key = problem.key_dim();
  const int64_t value = desc.v_head_dim;
  const int64_t longest = problem.rows.positions[run.last] + int64_t{1};
  const T** cached = take<const T*>(free, longest);
  const float** rows = take<const float*>(free, longest);
  auto* storage = take<float>(free, longest * (key + value));
  auto* query = take<float>(free, key);
  auto* result = take<float>(free, value);
  auto* scores = take<float>(free, longest);
  find_rows(problem.rows, run.last, desc.page_size, problem.cache, cached);
  for (int64_t head = 0; head < desc.num_heads; ++head) {
    expand(problem, head, longest, cached, rows, storage);
    for (int64_t t = first; t < run.end; ++t) {
      const int64_t count = problem.rows.positions[t] + int64_t{1};
      load_row(key, problem.query(t, head), query);
      attend(1, desc.scale, Attended<float>{rows, count, 0, key, key, value}, query, scores,
             result);
      store_row(value, result, problem.result(t, head));
    }
  }
}

template <typename T>
void expanded(const Problem<T>& problem, std::byte* scratch) {
  for (int64_t t = 0; t < problem.rows.rows;) {
    const Run run = find_run(problem.rows, t);
    if (problem.rows.sequences[t] >= 0) expanded_run(problem, t, run, scratch);
    t = run.end;
  }
}

}  // namespace

int64_t mla_scratch_bytes(const MlaDesc& desc, int64_t max_positions) {
  constexpr int64_t kFloat = sizeof(float);
  constexpr int64_t kPointer = sizeof(void*);
  if (desc.form == MlaForm::expanded) {
    const int64_t width = desc.nope_dim + desc.rope_dim + desc.v_head_dim;
    return max_positions * (2 * kPointer + (width + 1) * kFloat) + width * kFloat;
  }
  const int64_t heads = std::min<int64_t>(kHeadBlock, desc.num_heads);
  const int64_t per_head = 2 * int64_t{desc.kv_lora_rank} + desc.rope_dim + max_positions;
  return max_positions * kPointer +
         (heads * per_head + std::max(desc.nope_dim, desc.v_head_dim)) * kFloat;
}

template <typename T>
void mla_attention(const MlaDesc& desc, const PagedRows& rows, Matrix<const T> q,
                   Matrix<const T> cache, Matrix<const T> kv_b, Matrix<T> out, std::byte* scratch) {
  for (int64_t t = 0; t < rows.rows; ++t) {
    if (rows.sequences[t] < 0) std::fill_n(out.row(t), desc.num_heads * desc.v_head_dim, T{});
  }
  const Problem<T> problem{desc, rows, q, cache, kv_b, out};
  desc.form == MlaForm::absorbed ? absorbed(problem, scratch) : expanded(problem, scratch);
}

template void mla_attention(const MlaDesc&, const PagedRows&, Matrix<const float>,
                            Matrix<const float>, Matrix<const float>, Matrix<float>, std::byte*);
template void mla_attention(const MlaDesc&, const PagedRows&, Matrix<const bf16>,
                            Matrix<const bf16>, Matrix<const bf16>, Matrix<bf16>, std::byte*);

}  // namespace braid::kernels::cpu

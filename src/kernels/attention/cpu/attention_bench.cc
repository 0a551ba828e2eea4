// Speed of the CPU's attention: GB/s of cache read, each byte counted once a row.
#include "kernels/attention/cpu/attention.h"

#include <benchmark/benchmark.h>

#include <numeric>
#include <vector>

namespace braid::kernels::cpu {
namespace {

// One sequence in pages of 16; the last `rows` of its positions are the query rows.
template <typename T>
struct Sequence {
  static constexpr int32_t kPageSize = 16;
  int64_t cols;
  std::vector<T> cache;
  std::vector<int32_t> blocks;
  std::vector<int32_t> sequences;
  std::vector<int32_t> positions;

  Sequence(int64_t length, int64_t rows, int64_t columns)
      : cols(columns),
        cache(static_cast<size_t>((length + kPageSize) * cols), from_float<T>(0.01f)),
        blocks(static_cast<size_t>(length / kPageSize + 1)),
        sequences(static_cast<size_t>(rows)),
        positions(static_cast<size_t>(rows)) {
    std::iota(blocks.begin(), blocks.end(), 0);
    std::iota(positions.begin(), positions.end(), static_cast<int32_t>(length - rows));
  }
  PagedRows rows() const {
    return {static_cast<int64_t>(sequences.size()),
            sequences.data(),
            positions.data(),
            {blocks.data(), static_cast<int64_t>(blocks.size())}};
  }
  void report(benchmark::State& state) const {
    const double read = std::accumulate(positions.begin(), positions.end(), 0.0);
    state.counters["GB/s"] = benchmark::Counter(
        1e-9 * read * static_cast<double>(cols * int64_t{sizeof(T)} * state.iterations()),
        benchmark::Counter::kIsRate);
  }
};

// Heads, KV heads, head_dim, positions, rows.
template <typename T>
void BM_Attention(benchmark::State& state) {
  AttentionDesc desc;
  desc.num_heads = static_cast<int32_t>(state.range(0));
  desc.num_kv_heads = static_cast<int32_t>(state.range(1));
  desc.head_dim = static_cast<int32_t>(state.range(2));
  desc.page_size = Sequence<T>::kPageSize;
  const int64_t width = desc.num_heads * desc.head_dim;
  const Sequence<T> sequence(state.range(3), state.range(4), 2 * desc.num_kv_heads * desc.head_dim);
  std::vector<T> q(static_cast<size_t>(state.range(4) * width), from_float<T>(0.1f)), out(q);
  std::vector<std::byte> scratch(
      static_cast<size_t>(attention_scratch_bytes(desc, state.range(3) + desc.page_size)));
  for (auto _ : state) {
    attention<T>(desc, sequence.rows(), {q.data(), width}, {sequence.cache.data(), sequence.cols},
                 {out.data(), width}, scratch.data());
    benchmark::ClobberMemory();
  }
  sequence.report(state);
}

void shapes(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"heads", "kv", "dim", "positions", "rows"});
  bench->Args({4, 2, 64, 512, 1})->Args({4, 2, 64, 2048, 1})->Args({4, 2, 64, 512, 512});
  bench->Args({32, 4, 128, 4096, 1});
}
BENCHMARK(BM_Attention<float>)->Apply(shapes);
BENCHMARK(BM_Attention<bf16>)->Apply(shapes);

// Heads, positions, rows, form; DeepSeek-V2-Lite's widths.
template <typename T>
void BM_Mla(benchmark::State& state) {
  MlaDesc desc;
  desc.num_heads = static_cast<int32_t>(state.range(0));
  desc.kv_lora_rank = 512;
  desc.nope_dim = 128;
  desc.rope_dim = 64;
  desc.v_head_dim = 128;
  desc.page_size = Sequence<T>::kPageSize;
  desc.form = static_cast<MlaForm>(state.range(3));
  const int64_t q_width = desc.num_heads * (desc.nope_dim + desc.rope_dim);
  const int64_t width = desc.num_heads * desc.v_head_dim;
  const Sequence<T> sequence(state.range(1), state.range(2), desc.kv_lora_rank + desc.rope_dim);
  const std::vector<T> q(static_cast<size_t>(state.range(2) * q_width), from_float<T>(0.1f));
  const std::vector<T> kv_b(
      static_cast<size_t>(desc.num_heads * (desc.nope_dim + desc.v_head_dim) * 512),
      from_float<T>(0.01f));
  std::vector<T> out(static_cast<size_t>(state.range(2) * width));
  std::vector<std::byte> scratch(
      static_cast<size_t>(mla_scratch_bytes(desc, state.range(1) + desc.page_size)));
  for (auto _ : state) {
    mla_attention<T>(desc, sequence.rows(), {q.data(), q_width},
                     {sequence.cache.data(), sequence.cols}, {kv_b.data(), 512},
                     {out.data(), width}, scratch.data());
    benchmark::ClobberMemory();
  }
  sequence.report(state);
}

void mla_shapes(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"heads", "positions", "rows", "expanded"});
  for (const int64_t form : {0, 1}) bench->Args({16, 1024, 1, form})->Args({16, 128, 128, form});
}
BENCHMARK(BM_Mla<float>)->Apply(mla_shapes);
BENCHMARK(BM_Mla<bf16>)->Apply(mla_shapes);

}  // namespace
}  // namespace braid::kernels::cpu

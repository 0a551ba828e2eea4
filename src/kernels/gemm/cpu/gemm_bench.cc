// Speed of the CPU's GEMM: GFLOP/s, and GB/s of weights read.
#include "kernels/gemm/cpu/gemm.h"

#include <benchmark/benchmark.h>

#include <vector>

namespace braid::kernels::cpu {
namespace {

template <typename T>
std::vector<T> values(int64_t count) {
  std::vector<T> out(static_cast<size_t>(count));
  uint32_t state = 1;
  for (T& value : out) {
    state = state * 1664525u + 1013904223u;
    value = from_float<T>(static_cast<float>(state >> 8) / 16777216.0f - 0.5f);
  }
  return out;
}

void report(benchmark::State& state, int64_t m, int64_t weight_elements, int64_t weight_bytes) {
  const auto runs = static_cast<double>(state.iterations());
  state.counters["GFLOP/s"] = benchmark::Counter(
      2e-9 * static_cast<double>(m * weight_elements) * runs, benchmark::Counter::kIsRate);
  state.counters["GB/s"] = benchmark::Counter(1e-9 * static_cast<double>(weight_bytes) * runs,
                                              benchmark::Counter::kIsRate);
}

// [M, K] · [N, K]ᵀ.
template <typename T>
void BM_Gemm(benchmark::State& state) {
  const int64_t m = state.range(0), n = state.range(1), k = state.range(2);
  const auto x = values<T>(m * k), w = values<T>(n * k);
  std::vector<T> y(static_cast<size_t>(m * n));
  for (auto _ : state) {
    gemm<T, T, T>({}, m, n, k, {x.data(), k}, {w.data(), k}, nullptr, {y.data(), n});
    benchmark::ClobberMemory();
  }
  report(state, m, n * k, n * k * int64_t{sizeof(T)});
}

void shapes(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"M", "N", "K"});
  for (const int64_t m : {1, 8, 64, 512}) {
    bench->Args({m, 4096, 256})->Args({m, 256, 256})->Args({m, 256, 768})->Args({m, 1024, 1024});
  }
  bench->Args({1, 4096, 4096})->Args({64, 4096, 4096});
}
BENCHMARK(BM_Gemm<float>)->Apply(shapes);
BENCHMARK(BM_Gemm<bf16>)->Apply(shapes);

// 16 experts of width 96, each with M rows: gate_up with SwiGLU, and down.
template <typename T>
void BM_GroupedGemm(benchmark::State& state) {
  constexpr int32_t kSlots = 16;
  const int64_t m = state.range(0), n = state.range(1), k = state.range(2);
  const GroupedGemmDesc desc{n == 192 ? Epilogue::swiglu : Epilogue::none, kSlots};
  const auto x = values<T>(kSlots * m * k), w = values<T>(kSlots * n * k);
  std::vector<T> y(static_cast<size_t>(kSlots * m * n));
  std::vector<int32_t> offsets;
  for (int32_t slot = 0; slot <= kSlots; ++slot) {
    offsets.push_back(static_cast<int32_t>(slot * m));
  }
  for (auto _ : state) {
    grouped_gemm<T, T, T>(desc, n, k, {x.data(), k}, nullptr, offsets.data(), {w.data(), k},
                          {y.data(), n});
    benchmark::ClobberMemory();
  }
  report(state, m, kSlots * n * k, kSlots * n * k * int64_t{sizeof(T)});
}

void expert_shapes(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"M", "N", "K"});
  for (const int64_t m : {1, 32}) bench->Args({m, 192, 256})->Args({m, 256, 96});
}
BENCHMARK(BM_GroupedGemm<float>)->Apply(expert_shapes);
BENCHMARK(BM_GroupedGemm<bf16>)->Apply(expert_shapes);

}  // namespace
}  // namespace braid::kernels::cpu

// How fast made-up weights are made on one core.
#include <benchmark/benchmark.h>

#include <vector>

#include "kernels/fill/cpu/fill.h"

namespace braid::kernels::cpu {
namespace {

template <typename T>
void fill_uniform_on_a_core(benchmark::State& state) {
  const int64_t rows = 768, cols = 2048;  // an expert's matrix
  std::vector<T> values(static_cast<size_t>(rows * cols));
  const UniformDesc desc{.key = 1, .bound = 0.03f, .stride = 2048, .columns = cols};
  for (auto _ : state) {
    fill_uniform<T>(desc, rows, cols, {values.data(), cols});
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * rows * cols * static_cast<int64_t>(sizeof(T)));
}
BENCHMARK(fill_uniform_on_a_core<float>);
BENCHMARK(fill_uniform_on_a_core<bf16>);

}  // namespace
}  // namespace braid::kernels::cpu

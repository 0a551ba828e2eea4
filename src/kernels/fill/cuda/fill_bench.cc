// How fast made-up weights are made on a GPU: many experts' matrices, as a model has them.
#include <benchmark/benchmark.h>

#include "kernels/fill/cuda/fill.h"

namespace braid::kernels::cuda {
namespace {

constexpr int64_t kMatrices = 1024;

void fill_uniform_on_a_gpu(benchmark::State& state) {
  const int64_t rows = 768, cols = state.range(0);
  const int64_t each = rows * cols;
  void* data = nullptr;
  if (cudaMalloc(&data, static_cast<size_t>(kMatrices * each) * sizeof(bf16)) != cudaSuccess) {
    (void)cudaGetLastError();
    state.SkipWithError("no GPU, or too little of its memory");
    return;
  }
  auto* values = static_cast<bf16*>(data);
  for (auto _ : state) {
    for (int64_t i = 0; i < kMatrices; ++i) {
      const UniformDesc desc{.key = static_cast<uint64_t>(i),
                             .bound = 0.03f,
                             .stride = static_cast<uint64_t>(cols),
                             .columns = cols};
      fill_uniform<bf16>(desc, rows, cols, {values + i * each, cols}, nullptr);
    }
    cudaDeviceSynchronize();
  }
  state.SetBytesProcessed(state.iterations() * kMatrices * each *
                          static_cast<int64_t>(sizeof(bf16)));
  cudaFree(data);
}
BENCHMARK(fill_uniform_on_a_gpu)->Arg(96)->Arg(768)->Arg(2048)->UseRealTime();

}  // namespace
}  // namespace braid::kernels::cuda

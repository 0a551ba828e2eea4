// Speed of the GPU's products, from captured graphs over several routings: TFLOP/s, and GB/s of the
// weights that are read.
#include "kernels/gemm/cuda/gemm.h"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <functional>
#include <vector>

#include "kernels/gemm/cuda/bench_support.h"
#include "kernels/gemm/cuda/blas_config.h"
#include "kernels/gemm/cuda/grouped_gemm.h"

namespace braid::kernels::cuda {
namespace {

constexpr int kSets = 4;  // of inputs, used in turn, so that the cache holds none of them

using gemm_bench::DeviceArray;
using gemm_bench::need;
using gemm_bench::Replay;
using gemm_bench::skipped;

// Times run(set) for all sets, captured in one graph, and reports it per run.
void measure(benchmark::State& state, double flop, double weight_bytes, cudaStream_t stream,
             const std::function<void(int set)>& run) {
  const Replay replay(stream, kSets, run);
  double seconds = 0;
  for (auto _ : state) {
    const double once = replay.seconds();
    state.SetIterationTime(once);
    seconds += once;
  }
  const auto runs = static_cast<double>(state.iterations());
  state.counters["TFLOP/s"] = 1e-12 * flop * runs / seconds;
  state.counters["GB/s"] = 1e-9 * weight_bytes * runs / seconds;
}

// Experts of one layer as published: hidden size, expert width, experts, experts a token.
struct Experts {
  const char* name;
  int64_t hidden;
  int64_t width;
  int32_t count;
  int32_t top_k;
};
constexpr std::array<Experts, 3> kModels = {{{"GLM-4.5-Air", 4096, 1408, 128, 8},
                                             {"Qwen3-30B-A3B", 2048, 768, 128, 8},
                                             {"Mixtral-8x7B", 4096, 14336, 8, 2}}};

// Grouped rows of `tokens` tokens that visit the experts in turn.
struct Routing {
  Routing(const Experts& experts, int64_t tokens, int set) {
    std::vector<std::vector<int32_t>> tokens_of(static_cast<size_t>(experts.count));
    for (int64_t i = 0; i < tokens * experts.top_k; ++i) {
      const int64_t expert = (i + set * experts.count / kSets) % experts.count;
      tokens_of[static_cast<size_t>(expert)].push_back(static_cast<int32_t>(i / experts.top_k));
    }
    offsets.push_back(0);
    for (const auto& rows : tokens_of) {
      source.insert(source.end(), rows.begin(), rows.end());
      offsets.push_back(static_cast<int32_t>(source.size()));
      active += rows.empty() ? 0 : 1;
    }
  }
  std::vector<int32_t> offsets, source;
  int64_t active = 0;
};

// Arguments: model, tokens, 0 for the products to gate and up with SwiGLU or 1 for down.
void BM_CudaGroupedGemm(benchmark::State& state) {
  if (skipped(state)) return;
  const Experts& experts = kModels[static_cast<size_t>(state.range(0))];
  const int64_t tokens = state.range(1), rows = tokens * experts.top_k;
  const bool up = state.range(2) == 0;
  const int64_t n = up ? 2 * experts.width : experts.hidden;
  const int64_t k = up ? experts.hidden : experts.width;
  const int64_t y_cols = up ? experts.width : experts.hidden;
  const DeviceArray x = DeviceArray::random((up ? tokens : rows) * k);
  const DeviceArray w = DeviceArray::random(experts.count * n * k);
  const DeviceArray y(static_cast<size_t>(rows * y_cols) * sizeof(bf16));
  std::vector<DeviceArray> offsets, source;
  int64_t active = 0;
  for (int set = 0; set < kSets; ++set) {
    const Routing routing(experts, tokens, set);
    offsets.emplace_back(routing.offsets);
    source.emplace_back(routing.source);
    active = routing.active;
  }
  const GroupedGemmDesc desc{up ? Epilogue::swiglu : Epilogue::none, experts.count,
                             static_cast<int32_t>(rows)};
  cudaStream_t stream = nullptr;
  need(cudaStreamCreate(&stream));
  measure(state, 2.0 * static_cast<double>(rows * n * k), 2.0 * static_cast<double>(active * n * k),
          stream, [&](int set) {
            const auto at = static_cast<size_t>(set);
            grouped_gemm(desc, {n, k}, rows,
                         {x.as<void>(), k, up ? source[at].as<int32_t>() : nullptr,
                          offsets[at].as<int32_t>(), w.as<void>(), k, y.as<void>(), y_cols},
                         stream);
          });
  need(cudaStreamDestroy(stream));
  state.SetLabel(fmt::format("{}: {}", experts.name, explain_grouped_gemm(desc, {n, k})));
}
BENCHMARK(BM_CudaGroupedGemm)
    ->ArgNames({"model", "tokens", "down"})
    ->ArgsProduct({{0, 1, 2}, {1, 8, 128, 1024, 4096, 16384}, {0, 1}})
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond);

// [M, K] · [N, K]ᵀ in bf16; the last argument 1 for SwiGLU.
void BM_CudaGemm(benchmark::State& state) {
  if (skipped(state)) return;
  const int64_t m = state.range(0), n = state.range(1), k = state.range(2);
  const GemmDesc desc{state.range(3) == 1 ? Epilogue::swiglu : Epilogue::none, 1,
                      static_cast<int32_t>(m)};
  const GemmShape shape{n, k};
  const DeviceArray x = DeviceArray::random(m * k), y(static_cast<size_t>(m * n) * sizeof(bf16));
  const DeviceArray w = DeviceArray::random(kSets * n * k), workspace(kBlasWorkspaceBytes);
  const DeviceArray scratch(static_cast<size_t>(gemm_scratch_bytes(desc, shape, m)) + 1);
  BlasQueue queue{.workspace = workspace.as<void>()};
  need(cudaStreamCreate(&queue.stream.stream));
  check_blas(cublasLtCreate(&queue.handle), "cublasLtCreate");
  measure(state, 2.0 * static_cast<double>(m * n * k), 2.0 * static_cast<double>(n * k),
          queue.stream.stream, [&](int set) {
            gemm(desc, shape, m,
                 {x.as<void>(), k, w.as<bf16>() + set * n * k, k, nullptr, y.as<void>(), n},
                 scratch.as<void>(), queue);
          });
  cublasLtDestroy(queue.handle);
  need(cudaStreamDestroy(queue.stream.stream));
  const Result<std::string> text = explain_gemm(desc, shape, m);
  state.SetLabel(text.ok() ? *text : text.error().to_string());
}
BENCHMARK(BM_CudaGemm)
    ->ArgNames({"M", "N", "K", "swiglu"})
    ->ArgsProduct({{1, 8, 64, 512, 8192}, {8192}, {8192}, {0}})
    ->ArgsProduct({{1, 8, 128, 1024, 16384}, {2816}, {4096}, {0, 1}})
    ->ArgsProduct({{1, 8, 128, 1024, 16384}, {4096}, {1408}, {0}})
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace braid::kernels::cuda

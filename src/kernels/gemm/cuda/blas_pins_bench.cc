// Times all candidates of cuBLASLt for a product, and prints the fastest as a line of blas_pins.cc.
#include "kernels/gemm/cuda/blas_pins.h"

#include <optional>

#include "kernels/gemm/cuda/bench_support.h"
#include "kernels/gemm/cuda/blas_config.h"
#include "kernels/gemm/cuda/gemm.h"

namespace braid::kernels::cuda {
namespace {

using gemm_bench::DeviceArray;
using gemm_bench::need;
using gemm_bench::Replay;
using gemm_bench::skipped;

constexpr int kReplays = 5;
constexpr int64_t kColdBytes = int64_t{400} << 20;  // of weights: several times the L2 cache

// Operands of one product, with weights for some runs.
class Products {
 public:
  Products(const BlasKey& key, int64_t most_rows)
      : key_(key),
        k_(key.k * key.parts),
        sets_(static_cast<int>(std::clamp<int64_t>(kColdBytes / (2 * key.n * k_), 4, 64))),
        x_(DeviceArray::random(most_rows * k_)),
        w_(DeviceArray::random(sets_ * key.n * k_)),
        d_(static_cast<size_t>(key.parts * most_rows * key.n * 4)),
        workspace_(kBlasWorkspaceBytes) {
    need(cudaStreamCreate(&stream_));
    check_blas(cublasLtCreate(&handle_), "cublasLtCreate");
  }
  ~Products() {
    cublasLtDestroy(handle_);
    cudaStreamDestroy(stream_);
  }

  // Of one run, or none where the algorithm can't run so many rows.
  std::optional<double> seconds(const BlasConfig& config, int64_t rows) const {
    BlasProduct product = describe_product(key_, rows, {k_, k_, key_.n});
    bool runs = true;
    const auto run = [&](int set) {
      const float one = 1, zero = 0;
      const auto* w = w_.as<bf16>() + set * key_.n * k_;
      runs &= cublasLtMatmul(handle_, &product.operation, &one, w, &product.w, x_.as<void>(),
                             &product.x, &zero, d_.as<void>(), &product.d, d_.as<void>(),
                             &product.d, &config.algorithm, workspace_.as<void>(),
                             kBlasWorkspaceBytes, stream_) == CUBLAS_STATUS_SUCCESS;
    };
    run(0);
    if (!runs) return std::nullopt;
    return Replay(stream_, sets_, run).median_seconds(kReplays);
  }

 private:
  BlasKey key_;
  int64_t k_;
  int sets_;
  DeviceArray x_, w_, d_, workspace_;
  cudaStream_t stream_ = nullptr;
  cublasLtHandle_t handle_ = nullptr;
};

// Rows, N, K, 1 where the result is f32. An algorithm of a decode step's bucket is as good as it is
// with half the rows and all of them, one of more rows as with all.
void BM_PinBlas(benchmark::State& state) {
  if (skipped(state)) return;
  const int64_t rows = state.range(0);
  const GemmShape shape{.n = state.range(1),
                        .k = state.range(2),
                        .out = state.range(3) == 1 ? Format::f32 : Format::bf16};
  const BlasKey key = gemm_blas_key({.tuned_rows = static_cast<int32_t>(rows)}, shape, rows);
  const Products products(key, rows);
  const Result<std::vector<BlasConfig>> candidates = blas_candidates(key);
  BRAID_CHECK(candidates.ok() && !candidates->empty(), "no algorithm");
  std::optional<BlasConfig> best;
  double least = 0, first = 0;
  for (auto _ : state) {
    for (const BlasConfig& config : *candidates) {
      const auto whole = products.seconds(config, rows);
      const auto half = rows <= 64 ? products.seconds(config, rows / 2) : whole;
      if (!whole.has_value() || !half.has_value()) continue;
      const double seconds = std::max(*whole, *half);
      if (!best.has_value()) first = seconds;
      if (best.has_value() && seconds >= least) continue;
      best = config;
      least = seconds;
    }
    state.SetIterationTime(least);
  }
  BRAID_CHECK(best.has_value(), "no algorithm runs");
  state.counters["first"] = first * 1e6;
  state.counters["GB/s"] = 2e-9 * static_cast<double>(shape.n * shape.k) / least;
  state.SetLabel(to_string(pin_of(key, *best, least * 1e6)));
}
BENCHMARK(BM_PinBlas)
    ->ArgNames({"rows", "N", "K", "f32"})
    // Qwen3-30B-A3B, and over two GPUs
    ->ArgsProduct({{64, 128, 512, 2048}, {5120}, {2048}, {0}})
    ->ArgsProduct({{64, 128, 512, 2048}, {2048}, {4096}, {0}})
    ->ArgsProduct({{64, 128, 512, 2048}, {128}, {2048}, {1}})
    ->ArgsProduct({{64, 128}, {151936}, {2048}, {1}})
    ->ArgsProduct({{64, 128, 512, 2048}, {2560}, {2048}, {0}})
    ->ArgsProduct({{64, 128, 512, 2048}, {2048}, {2048}, {0}})
    // GLM-4.5-Air, and over two GPUs
    ->ArgsProduct({{64, 128, 512, 2048}, {14336}, {4096}, {0}})
    ->ArgsProduct({{64, 128, 512, 2048}, {4096}, {12288}, {0}})
    ->ArgsProduct({{64, 128, 512, 2048}, {128}, {4096}, {1}})
    ->ArgsProduct({{64, 128, 512, 2048}, {2816}, {4096}, {0}})
    ->ArgsProduct({{64, 128, 512, 2048}, {4096}, {1408}, {0}})
    ->ArgsProduct({{64, 128, 512, 2048}, {7168}, {4096}, {0}})
    ->ArgsProduct({{64, 128, 512, 2048}, {4096}, {6144}, {0}})
    // DeepSeek-V2
    ->ArgsProduct({{64, 128, 512, 2048}, {1536}, {5120}, {0}})
    ->ArgsProduct({{64, 128, 512, 2048}, {576}, {5120}, {0}})
    ->ArgsProduct({{64, 128, 512, 2048}, {24576}, {1536}, {0}})
    ->ArgsProduct({{64, 128, 512, 2048}, {5120}, {16384}, {0}})
    ->ArgsProduct({{64, 128, 512, 2048}, {6144}, {5120}, {0}})
    ->ArgsProduct({{64, 128, 512, 2048}, {5120}, {3072}, {0}})
    // Qwen2.5-72B
    ->ArgsProduct({{64, 128, 512, 2048}, {10240}, {8192}, {0}})
    ->ArgsProduct({{64, 128, 512, 2048}, {8192}, {8192}, {0}})
    ->ArgsProduct({{64, 128, 512}, {59136}, {8192}, {0}})
    ->ArgsProduct({{64, 128, 512}, {8192}, {29568}, {0}})
    ->Iterations(1)
    ->UseManualTime()
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace braid::kernels::cuda

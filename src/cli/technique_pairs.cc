#include "cli/technique_pairs.h"

namespace braid::cli {
namespace {

using engine::EngineOptions;
using engine::PassOptions;

constexpr int32_t kChunks = 4;
constexpr double kOtherSums = 1e-4;  // the same sums in another order, in float32
constexpr double kFp8Rows = 0.1;     // rows of 2.6 % relative error, in every layer

EngineOptions with(const EngineOptions& base, const layout::LayoutOptions& layout,
                   void (*change)(PassOptions&)) {
  EngineOptions options = base;
  options.layout = layout;
  if (change != nullptr) change(options.worker.passes);
  return options;
}

}  // namespace

Result<std::vector<TechniquePair>> technique_pairs(const EngineOptions& base,
                                                   const model::ModelConfig& config) {
  if (!config.moe) {
    return Error(ErrorKind::unsupported, "four of the five techniques are about experts")
        .with("model", name_of(config.architecture))
        .remedy("Take a Mixture-of-Experts model.");
  }
  const layout::LayoutOptions tp{.tp = kTechniqueRanks, .ep = 1, .dp = 1};
  const layout::LayoutOptions dp{.tp = 1, .ep = kTechniqueRanks, .dp = kTechniqueRanks};
  const layout::LayoutOptions cut{.tp = 1, .ep = 1, .dp = kTechniqueRanks};
  const auto dual = [](PassOptions& passes) { passes.dual_stream.mode = passes::Switch::on; };
  const auto chunked = [](PassOptions& passes) {
    passes.chunks.chunks = kChunks;
    passes.chunks.continued = true;
  };
  const auto fp8 = [](PassOptions& passes) {
    passes.quantize_dispatch.dtype = passes::DispatchDtype::fp8;
  };
  const auto heat = [](PassOptions& passes) { passes.heat.mode = passes::Switch::on; };
  std::vector<TechniquePair> pairs = {
      {.technique = "expert parallelism",
       .setting = "dp 2, prefill: each expert cut in two → whole on one rank",
       .before = with(base, cut, nullptr),
       .after = with(base, dp, nullptr),
       .bitwise = false,
       .bound = kOtherSums,
       .published = "21004.67 → 26039.52 tok/s (x1.24), DeepSeek-Coder-V2 FP8, 8x H100; PR 2203"},
      {.technique = "expert parallelism",
       .setting = "dp 2, decode: the same",
       .before = with(base, cut, nullptr),
       .after = with(base, dp, nullptr),
       .phase = Phase::decode,
       .bitwise = false,
       .bound = kOtherSums,
       .published = "10738.72 → 10591.17 tok/s (x0.99), the same; PR 2203"},
      {.technique = "dual_stream",
       .setting = "one rank, prefill: shared expert before the routed ones → beside them",
       .before = with(base, {}, nullptr),
       .after = with(base, {}, dual),
       .published = "52 → 58 tok/s (x1.11), GLM-4.6 FP8, 4x RTX 6000 PRO; PR 13778"},
      {.technique = "chunk_collectives",
       .setting = fmt::format("tp 2, prefill: whole reductions → {} chunks", kChunks),
       .before = with(base, tp, nullptr),
       .after = with(base, tp, chunked),
       .hides = true,
       .published = "21445 → 21821 tok/s (x1.018), Qwen2.5-72B, 4x H200; PR 6923"},
      {.technique = "quantize_dispatch",
       .setting = "dp 2, prefill: rows as they are → fp8 in groups of 128",
       .before = with(base, dp, nullptr),
       .after = with(base, dp, fp8),
       .bitwise = false,
       .bound = kFp8Rows,
       .published = "x1.094 over padding and all-reduce, with FP4, DeepSeek-R1, 8 GPUs; PR 7667"},
      {.technique = "heat",
       .setting = "dp 2, prefill: not counted → counted, snapshot read back",
       .before = with(base, dp, nullptr),
       .after = with(base, dp, heat),
       .published = "none (reverted for wrong results); vLLM-Ascend PR 4214"}};
  if (config.moe->num_shared_experts == 0) {
    std::erase_if(pairs, [](const auto& pair) { return pair.technique == "dual_stream"; });
  }
  return pairs;
}

}  // namespace braid::cli

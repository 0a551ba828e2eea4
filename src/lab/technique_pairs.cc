#include "lab/technique_pairs.h"

#include "base/json.h"
#include "lab/layer_benchmark.h"
#include "lab/shapes.h"
#include "passes/chunk_collectives.h"
#include "passes/count_heat.h"
#include "passes/dual_stream.h"
#include "passes/quantize_dispatch.h"

namespace braid::lab {
namespace {

using layout::LayoutOptions;
using ops::ReduceMethod;
using steps::PassOptions;

constexpr int32_t kChunks = 4;
// Sums by copy engines are hidden best in 8 chunks (docs/performance.md).
constexpr int32_t kCopiedChunks = 8;
constexpr double kOtherSums = 1e-4;         // the same sums in another order, in float32
constexpr double kOtherRoundings = 1.5e-2;  // and in bfloat16, each side within 1e-2 of float32
constexpr double kFp8Rows = 0.1;            // rows of 2.6 % relative error, in every layer

constexpr LayoutOptions kTp{.tp = kTechniqueRanks, .ep = 1, .dp = 1};
constexpr LayoutOptions kWhole{.tp = 1, .ep = kTechniqueRanks, .dp = kTechniqueRanks};
constexpr LayoutOptions kCut{.tp = 1, .ep = 1, .dp = kTechniqueRanks};

constexpr std::string_view kExperts = "expert parallelism", kDual = "dual_stream",
                           kChunked = "chunk_collectives", kQuantized = "quantize_dispatch",
                           kHeat = "heat";

std::string published(std::string_view technique, Phase phase) {
  if (technique == kExperts && phase == Phase::prefill) {
    return "21004.67 → 26039.52 tok/s (x1.24), DeepSeek-Coder-V2 FP8, 8x H100; PR 2203";
  }
  if (technique == kExperts) return "10738.72 → 10591.17 tok/s (x0.99), the same; PR 2203";
  if (technique == kDual) return "52 → 58 tok/s (x1.11), GLM-4.6 FP8, 4x RTX 6000 PRO; PR 13778";
  if (technique == kChunked) return "21445 → 21821 tok/s (x1.018), Qwen2.5-72B, 4x H200; PR 6923";
  if (technique == kQuantized) {
    return "x1.094 over padding and all-reduce, with FP4, DeepSeek-R1, 8 GPUs; PR 7667";
  }
  return "none (reverted for wrong results); vLLM-Ascend PR 4214";
}

// All techniques off.
PairSide plain(const LayoutOptions& layout) {
  PairSide side{.layout = layout};
  side.passes.of<passes::DualStreamOptions>().mode = passes::Switch::off;
  side.passes.of<passes::ChunkOptions>().chunks = 1;
  side.passes.of<passes::QuantizeDispatchOptions>().dtype = passes::DispatchDtype::unquantized;
  side.passes.of<passes::HeatOptions>().mode = passes::Switch::off;
  return side;
}

PairSide with(const LayoutOptions& layout, void (*change)(PassOptions&)) {
  PairSide side = plain(layout);
  change(side.passes);
  return side;
}

void dual(PassOptions& passes) { passes.of<passes::DualStreamOptions>().mode = passes::Switch::on; }
void fp8(PassOptions& passes) {
  passes.of<passes::QuantizeDispatchOptions>().dtype = passes::DispatchDtype::fp8;
}
void heat(PassOptions& passes) { passes.of<passes::HeatOptions>().mode = passes::Switch::on; }

PairSide chunked(ReduceMethod method) {
  const bool copied = method == ReduceMethod::copy_engine;
  PairSide side = plain(kTp);
  side.passes.of<passes::ChunkOptions>().chunks = copied ? kCopiedChunks : kChunks;
  side.passes.of<passes::ChunkOptions>().spare_sms = spare_sms(method);
  side.passes.of<passes::ChunkOptions>().continued = !copied;
  side.method = method;
  return side;
}

TechniquePair pair_of(std::string_view technique, std::string setting, PairSide before,
                      PairSide after, Phase phase = Phase::prefill) {
  return {.technique = std::string(technique),
          .setting = std::move(setting),
          .before = std::move(before),
          .after = std::move(after),
          .phase = phase,
          .published = published(technique, phase)};
}

TechniquePair bounded(TechniquePair pair, double bound) {
  pair.bitwise = false;
  pair.bound = bound;
  return pair;
}

TechniquePair hiding(TechniquePair pair) {
  pair.hides = true;
  return pair;
}

LeftOut no_shared_expert() { return {std::string(kDual), "the model has no shared expert"}; }

Result<model::ModelConfig> parse_shape(std::string_view json, std::string_view name) {
  return model::parse_config(TRY(parse_json(json, std::string(name))));
}

// Makes up the pairs of layers, in the table's order.
class LayerList {
 public:
  LayerList(const LayerShapes& shapes, const LayerFacts& facts) : shapes_(shapes), facts_(facts) {}

  LayerTechniques take() {
    if (shapes_.moe) {
      add_expert_parallelism();
      add_dual_stream();
    } else {
      for (const auto technique : {kExperts, kDual}) leave_out(technique, kNoExperts);
    }
    add_chunks();
    if (shapes_.moe) {
      add_quantized();
      add_heat();
    } else {
      for (const auto technique : {kQuantized, kHeat}) leave_out(technique, kNoExperts);
    }
    return std::move(list_);
  }

 private:
  static constexpr std::string_view kNoExperts = "the model has no experts";

  bool two() const { return facts_.ranks == kTechniqueRanks; }
  bool cuda() const { return facts_.device == ranks::DeviceKind::cuda; }
  void leave_out(std::string_view technique, std::string_view why) {
    list_.left_out.push_back({std::string(technique), std::string(why)});
  }
  // Whether the technique is compared on two ranks; says so where there is one.
  bool needs_two(std::string_view technique) {
    if (!two()) leave_out(technique, "needs two GPUs; --device cpu compares it on CPU ranks");
    return two();
  }

  // The same number of rows on each group of ranks.
  LayerRows rows(int32_t count, bool decode, bool groups) const {
    LayerRows rows{.rows = count, .context = decode ? facts_.context : 0};
    for (int32_t group = 0; groups && two() && group < kTechniqueRanks; ++group) {
      rows.groups.push_back(count);
    }
    return rows;
  }
  // "GLM-4.5-Air, dp 2, 64 + 64 decode rows: "
  std::string start(size_t shape, std::string_view layout, const LayerRows& rows) const {
    return fmt::format("{}, {}, {} {} row{}: ", shapes_.names[shape], layout, rows.to_string(),
                       rows.decode() ? "decode" : "prefill", rows.rows == 1 ? "" : "s");
  }
  void add(TechniquePair pair, size_t shape, std::string_view layout, const LayerRows& rows) {
    pair.setting = start(shape, layout, rows) + pair.setting;
    list_.pairs.push_back({std::move(pair), shape, rows});
  }

  void add_expert_parallelism() {
    if (!needs_two(kExperts)) return;
    const double bound = facts_.dtype == Format::bf16 ? kOtherRoundings : kOtherSums;
    for (const Phase phase : {Phase::prefill, Phase::decode}) {
      const bool decode = phase == Phase::decode;
      add(bounded(pair_of(kExperts, "each expert cut in two → whole on one rank", plain(kCut),
                          plain(kWhole), phase),
                  bound),
          *shapes_.moe, "dp 2", rows(decode ? facts_.decode : facts_.prefill, decode, true));
    }
  }

  // One request, as published.
  void add_dual_stream() {
    if (shapes_.shapes[*shapes_.moe].moe->num_shared_experts == 0) {
      list_.left_out.push_back(no_shared_expert());
      return;
    }
    const LayoutOptions layout = two() ? kTp : LayoutOptions();
    add(pair_of(kDual, "shared expert before the routed ones → beside them", plain(layout),
                with(layout, dual), Phase::decode),
        *shapes_.moe, two() ? "tp 2" : "one rank", rows(1, true, false));
  }

  void add_chunks() {
    if (!needs_two(kChunked)) return;
    const LayerRows all = rows(facts_.summed, false, false);
    const auto one = [&](std::string setting, ReduceMethod method) {
      add(hiding(pair_of(kChunked, std::move(setting), plain(kTp), chunked(method))),
          shapes_.summed, "tp 2", all);
    };
    if (cuda()) {
      one(fmt::format("whole sums by NCCL → {} chunks by copy engines", kCopiedChunks),
          ReduceMethod::copy_engine);
    }
    one(fmt::format("whole sums{} → {} chunks, continued", cuda() ? " by NCCL" : "", kChunks),
        ReduceMethod::direct);
  }

  void add_quantized() {
    if (!needs_two(kQuantized)) return;
    add(bounded(pair_of(kQuantized, "rows as they are → fp8 in groups of 128", plain(kWhole),
                        with(kWhole, fp8)),
                kFp8Rows),
        *shapes_.moe, "dp 2", rows(facts_.prefill, false, true));
  }

  void add_heat() {
    const LayoutOptions layout = two() ? kWhole : LayoutOptions();
    add(pair_of(kHeat, "not counted → counted, snapshot read back", plain(layout),
                with(layout, heat)),
        *shapes_.moe, two() ? "dp 2" : "one rank", rows(facts_.prefill, false, true));
  }

  const LayerShapes& shapes_;
  const LayerFacts& facts_;
  LayerTechniques list_;
};

}  // namespace

Result<EnginePairs> engine_pairs(const model::ModelConfig& config) {
  if (!config.moe) {
    return Error(ErrorKind::unsupported, "four of the five techniques are about experts")
        .with("model", config.family->class_name)
        .remedy("Take a Mixture-of-Experts model, or --layer.");
  }
  EnginePairs list;
  list.pairs = {
      bounded(pair_of(kExperts, "dp 2, prefill: each expert cut in two → whole on one rank",
                      plain(kCut), plain(kWhole)),
              kOtherSums),
      bounded(
          pair_of(kExperts, "dp 2, decode: the same", plain(kCut), plain(kWhole), Phase::decode),
          kOtherSums)};
  if (config.moe->num_shared_experts > 0) {
    list.pairs.push_back(
        pair_of(kDual, "one rank, prefill: shared expert before the routed ones → beside them",
                plain({}), with({}, dual)));
  } else {
    list.left_out.push_back(no_shared_expert());
  }
  list.pairs.push_back(
      hiding(pair_of(kChunked, fmt::format("tp 2, prefill: whole reductions → {} chunks", kChunks),
                     plain(kTp), chunked(ReduceMethod::direct))));
  list.pairs.push_back(
      bounded(pair_of(kQuantized, "dp 2, prefill: rows as they are → fp8 in groups of 128",
                      plain(kWhole), with(kWhole, fp8)),
              kFp8Rows));
  list.pairs.push_back(pair_of(kHeat, "dp 2, prefill: not counted → counted, snapshot read back",
                               plain(kWhole), with(kWhole, heat)));
  return list;
}

LayerShapes shapes_of(const model::ModelConfig& config, const std::string& name) {
  LayerShapes shapes{.shapes = {config}, .names = {name}};
  if (!config.has_moe_layer()) return shapes;
  shapes.moe = 1;
  shapes.shapes.push_back(config);
  shapes.shapes.back().moe_layers.front() = true;
  shapes.names.push_back(name);
  return shapes;
}

Result<LayerShapes> published_shapes() {
  LayerShapes shapes = shapes_of(TRY(parse_shape(shapes::kGlm45Air, "GLM-4.5-Air")), "GLM-4.5-Air");
  shapes.shapes[shapes.summed] = TRY(parse_shape(shapes::kQwen25_72b, "Qwen2.5-72B"));
  shapes.names[shapes.summed] = "Qwen2.5-72B";
  return shapes;
}

LayerTechniques layer_pairs(const LayerShapes& shapes, const LayerFacts& facts) {
  return LayerList(shapes, facts).take();
}

}  // namespace braid::lab

#include "start/explain.h"

#include <algorithm>
#include <chrono>

#include "base/log.h"
#include "start/explain_layout.h"

namespace braid::start {
namespace {

using flow::Schedule;

std::string_view name_of_score(model::RouterScore score) {
  switch (score) {
    case model::RouterScore::softmax: return "softmax over all experts";
    case model::RouterScore::sigmoid: return "sigmoid";
    case model::RouterScore::softmax_over_topk: return "softmax over the chosen experts";
  }
  return "";
}

std::string describe_attention(const model::ModelConfig& config) {
  if (const auto* gqa = std::get_if<model::GqaConfig>(&config.attention_of(0))) {
    return fmt::format("grouped-query attention: {} heads of {}, {} of keys and values",
                       gqa->num_heads, gqa->head_dim, gqa->num_kv_heads);
  }
  const auto& mla = std::get<model::MlaConfig>(config.attention_of(0));
  return fmt::format("multi-head latent attention: {} heads, latent of {}, rotary part of {}",
                     mla.num_heads, mla.kv_lora_rank, mla.qk_rope_head_dim);
}

std::string describe_experts(const model::ModelConfig& config) {
  if (!config.moe) return "no experts";
  const model::MoeConfig& moe = *config.moe;
  std::string text = fmt::format("{} experts of width {}, {} a token, {} shared; router: {}",
                                 moe.num_experts, moe.expert_width, moe.top_k,
                                 moe.num_shared_experts, name_of_score(moe.router.score));
  if (moe.router.n_group > 1) {
    text += fmt::format(", {} of {} groups", moe.router.topk_group, moe.router.n_group);
  }
  return text;
}

std::string describe_quantization(const model::QuantScheme& scheme, Format dtype) {
  if (scheme.kind == model::QuantKind::none) return "weights are not quantized";
  std::string kind(name_of(scheme.kind));
  if (scheme.kind == model::QuantKind::fp8_block) {
    kind += fmt::format(" {}x{}", scheme.block_rows, scheme.block_columns);
  }
  return fmt::format("quantized weights ({}) are dequantized to {}", kind, dtype_name(dtype));
}

// Who chose the placement of the experts, and what lies where.
std::vector<std::string> describe_placement(const experts::ExpertPlacement& placement,
                                            const ParsedOptions& options) {
  const experts::PlacementSizes& sizes = placement.sizes();
  std::vector<std::string> lines = {fmt::format(
      "expert slots a rank: {}; {} in all for {} experts, as {}", sizes.slots_of_rank(),
      sizes.slots, sizes.experts,
      options.has("expert-placement")
          ? options.text("expert-placement") + " says"
          : "asked for: replicas of the first experts, because their heat is not known")};
  constexpr int32_t kMostRanks = 8;
  for (int32_t rank = 0; rank < std::min(sizes.ranks, kMostRanks); ++rank) {
    lines.push_back(fmt::format("  first layer with experts, {} of {}: {}", rank, sizes.ranks,
                                fmt::join(placement.slots_of(0, rank), " ")));
  }
  if (sizes.ranks > kMostRanks) lines.back() += " (and so on)";
  if (sizes.redundant() > 0) {
    lines.emplace_back(
        "row t of a step goes to replica t mod their number: roundings of a request depend on its "
        "place in the step");
  }
  return lines;
}

std::string describe_link(const LinkSpeed& link, const layout::Layout& layout) {
  if (layout.world == 1) return "no link is emulated: one rank sends nothing";
  return fmt::format(
      "emulated: one link a rank of {} a message; collectives last as long as a "
      "ring over such links",
      link.to_string());
}

// The ops of one layer on one lane, equal neighbours counted, each behind what it waits for.
std::string lane_line(const Schedule& schedule, flow::Lane lane, int32_t layer) {
  std::vector<std::pair<std::string, int>> items;
  for (const int32_t index : schedule.lanes[index_of(lane)]) {
    const flow::Op& op = schedule.program.ops[static_cast<size_t>(index)];
    if (op.scope.layer != layer) continue;
    for (const int32_t wait : schedule.waits[static_cast<size_t>(index)]) {
      const flow::Op& awaited = schedule.program.ops[static_cast<size_t>(wait)];
      items.emplace_back(fmt::format("wait({} {})", name_of(awaited.lane), awaited.kind().name), 1);
    }
    if (!items.empty() && items.back().first == op.kind().name) {
      ++items.back().second;
    } else {
      items.emplace_back(std::string(op.kind().name), 1);
    }
  }
  std::string text;
  for (const auto& [name, count] : items) {
    text += fmt::format("{}{}", text.empty() ? "" : " → ", name);
    if (count > 1) text += fmt::format(" ×{}", count);
  }
  return text;
}

std::string explain_step(const layers::StepShape& shape, const steps::CompiledStep& step,
                         double again_us, int64_t num_layers) {
  std::string text = fmt::format("step of {}\n", shape.to_string());
  for (const passes::Decision& decision : step.decisions) {
    text += fmt::format("  {}: {} ({}){}\n", decision.pass, decision.choice, decision.reason,
                        decision.predicted());
  }
  text += fmt::format(
      "  {} ops on {} lanes, {} waits, {} follow the op before them; compiled in {:.0f} µs, "
      "checked in {:.0f} µs (bound {:.0f} "
      "µs), found again in {:.1f} µs",
      step.schedule.program.ops.size(), step.schedule.lanes_used(), step.schedule.wait_count(),
      step.schedule.follow_count(), step.compile_us, step.check_us,
      steps::compile_bound_us(num_layers), again_us);
  return text;
}

}  // namespace

std::string explain_options(const ParsedOptions& options) {
  std::string text = fmt::format("options\n{}", options.explain());
  text.pop_back();  // the console ends the line
  return text;
}

std::string explain_model(const model::ModelConfig& config, const engine::EnginePlan& plan,
                          const ParsedOptions& options, const std::string& ranks) {
  const auto moe_layers = std::count(config.moe_layers.begin(), config.moe_layers.end(), true);
  const model::ModelOptions& model = plan.worker.model;
  const bool automatic = options.text("dtype") == "auto";
  const bool cuda = plan.worker.device == ranks::DeviceKind::cuda;
  std::string text = "model\n";
  const auto line = [&text](const std::string& content) { text += "  " + content + "\n"; };
  line(fmt::format("{}: {} layers, {} of them with experts, hidden size {}, vocabulary {}",
                   config.family->class_name, config.num_layers, moe_layers, config.hidden_size,
                   config.vocab_size));
  line(describe_attention(config));
  line(describe_experts(config));
  line(fmt::format("context of {} tokens, the model has positions for {}", plan.context_length,
                   config.max_positions));
  line(fmt::format(
      "dtype {}{}", dtype_name(model.dtype),
      automatic ? (cuda ? " (auto: bfloat16 on GPUs)" : " (auto: float32 on the CPU)") : ""));
  line(describe_quantization(config.quantization, model.dtype));
  text += "layout\n";
  text += explain_layout(config, model, options, ranks);
  if (model.placement != nullptr) {
    for (const std::string& said : describe_placement(*model.placement, options)) line(said);
  }
  if (plan.worker.link) line(describe_link(*plan.worker.link, model.layout));
  const cost::DeviceProfile& profile = plan.worker.passes.cost.profile();
  line(fmt::format("predictions for: {} (tuning {}, {})", profile.name, cost::hash_of(profile),
                   options.has("tuning") ? options.text("tuning") : "compiled in"));
  text += "passes, in their order\n";
  for (const std::string& pass : passes::describe_passes(options)) line(pass);
  text += "kernels\n";
  line(cuda ? "GPU kernels, run one by one: whole models are not captured as graphs"
            : "CPU kernels, the only ones there are for this device");
  if (std::holds_alternative<model::MlaConfig>(config.attention_of(0))) {
    const bool absorbed = model.mla_form == kernels::MlaForm::absorbed;
    line(fmt::format("MLA {}", absorbed ? "absorbed for every row: bitwise the same result in "
                                          "prefill and decode, however a prompt is cut"
                                        : "expanded for every row"));
  }
  text.pop_back();
  return text;
}

Result<std::string> explain_steps(engine::Engine& engine) {
  steps::Schedules& schedules = engine.worker().schedules();
  const layers::RowCounts most = engine.worker().model().options().max_rows;
  std::string text = "passes and schedules";
  for (const layers::RowCounts rows :
       {layers::RowCounts{most.decode, 0}, layers::RowCounts{0, most.prefill}}) {
    const layers::StepShape shape{.own = rows, .group = rows};
    const steps::CompiledStep* step = TRY(schedules.get(shape));
    const auto start = Clock::now();
    TRY(schedules.get(shape));
    const std::chrono::duration<double, std::micro> again = Clock::now() - start;
    text += "\n" + explain_step(shape, *step, again.count(), engine.config().num_layers);
  }
  return text;
}

std::string explain_layer(const Schedule& schedule, const model::ModelConfig& config) {
  const auto last_moe = std::find(config.moe_layers.rbegin(), config.moe_layers.rend(), true);
  const auto behind =
      last_moe == config.moe_layers.rend() ? 0 : last_moe - config.moe_layers.rbegin();
  const auto layer = static_cast<int32_t>(config.num_layers - 1 - behind);
  std::string text = fmt::format("layer {}\n", layer);
  for (const flow::Lane lane : flow::kLanes) {
    const std::string line = lane_line(schedule, lane, layer);
    if (!line.empty()) text += fmt::format("  lane {:<8} {}\n", name_of(lane), line);
  }
  text.pop_back();
  return text;
}

}  // namespace braid::start

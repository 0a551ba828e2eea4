#include "start/resolve.h"

#include <algorithm>

#include "engine/block_pool.h"
#include "passes/count_heat.h"
#include "start/memory_budget.h"

namespace braid::start {
namespace {

using experts::ExpertPlacement;
using experts::PlacementSizes;

Error misplaced(std::string message) {
  return Error(ErrorKind::usage, "the experts can't be placed like this: " + std::move(message));
}

// The placement that these options ask for; null where every rank has just its share of experts.
Result<std::shared_ptr<const ExpertPlacement>> placement_of(const model::ModelConfig& config,
                                                            const EngineOptions& options,
                                                            int32_t ep) {
  std::shared_ptr<const ExpertPlacement> given = options.worker.model.placement;
  const int32_t wanted = options.redundant_experts.value_or(0);
  if (given == nullptr && wanted == 0) return given;
  if (!config.moe || ep == 1) {
    return misplaced(config.moe ? "all ranks hold all of them" : "the model has none")
        .with("ep", ep)
        .remedy(config.moe ? "Use --ep 2 or more, or leave --redundant-experts and "
                             "--expert-placement out."
                           : "Leave --redundant-experts and --expert-placement out.");
  }
  const int32_t redundant =
      given == nullptr ? wanted : options.redundant_experts.value_or(given->sizes().redundant());
  const PlacementSizes sizes = TRY(model::placement_sizes(config, ep, redundant));
  if (given == nullptr) {
    return std::make_shared<const ExpertPlacement>(ExpertPlacement::standard(sizes));
  }
  const PlacementSizes& has = given->sizes();
  if (has == sizes) return given;
  return misplaced("the placement was made for another model or layout")
      .with("its layers", has.layers)
      .with("its experts", has.experts)
      .with("its ranks", has.ranks)
      .with("its slots", has.slots)
      .with("layers with experts", sizes.layers)
      .with("experts", sizes.experts)
      .with("ep", ep)
      .with("slots", sizes.slots)
      .remedy(has.layers == sizes.layers && has.experts == sizes.experts
                  ? fmt::format("Use --ep {} --redundant-experts {}, or another placement.",
                                has.ranks, has.redundant())
                  : std::string("Give a placement that was made for this model."));
}

// What follows from the sizes of a plan.
void set_rows(EnginePlan& plan) {
  model::ModelOptions& sizes = plan.worker.model;
  const engine::GroupSizes most = plan.of_group();
  sizes.max_blocks = engine::blocks_for(plan.context_length, sizes.page_size);
  sizes.max_rows = {.decode = layers::bucket_of(most.max_running),
                    .prefill = layers::bucket_of(most.chunked_prefill_size)};
}

void set_heat(EnginePlan& plan, const model::ModelConfig& config) {
  plan.worker.model.expert_heat =
      passes::counts_heat(plan.worker.passes.of<passes::HeatOptions>(), config.has_moe_layer());
}

}  // namespace

Result<EnginePlan> resolve(const model::ModelConfig& config, const EngineOptions& options) {
  const auto positions = static_cast<int32_t>(config.max_positions);
  if (options.context_length > config.max_positions) {
    return Error(ErrorKind::usage, "the context is longer than the model's positions")
        .with("context-length", options.context_length)
        .with("max_position_embeddings", config.max_positions)
        .remedy("Lower --context-length.");
  }
  EnginePlan plan{
      .worker = options.worker,
      .context_length = options.context_length == 0 ? positions : options.context_length,
      .max_running = options.max_running,
      .chunked_prefill_size = options.chunked_prefill_size,
      .run_ahead = options.run_ahead};
  model::ModelOptions& of_model = plan.worker.model;
  of_model.layout = TRY(layout::make_layout(model::layout_sizes(config), options.layout));
  of_model.placement = TRY(placement_of(config, options, of_model.layout.moe.sizes[0]));
  of_model.page_size = options.page_size;
  of_model.num_blocks = options.num_blocks;
  set_rows(plan);
  set_heat(plan, config);
  TRY(layers::check_dispatch(steps::dispatch_facts(config, of_model, 0), of_model.dispatch));
  return plan;
}

EnginePlan narrowed(EnginePlan plan, const model::ModelConfig& config, const EngineNeeds& needs) {
  const auto lower = [](int32_t& value, int64_t need) {
    if (need > 0) value = static_cast<int32_t>(std::min<int64_t>(value, need));
  };
  lower(plan.context_length, needs.context_length);
  lower(plan.chunked_prefill_size, needs.prefill_rows);
  plan.max_running = static_cast<int32_t>(needs.max_running);
  plan.run_ahead = plan.run_ahead && needs.run_ahead;
  plan.worker.model.probes = needs.probes;
  plan.worker.capture_extended_sampling = needs.extended_sampling;
  plan.worker.passes.of<passes::HeatOptions>().wanted = needs.expert_heat;
  set_rows(plan);
  set_heat(plan, config);
  return plan;
}

Result<EnginePlan> plan_engine(const model::ModelConfig& config, const EngineOptions& options) {
  EnginePlan plan = TRY(resolve(config, options));
  const MemoryBudget budget = TRY(plan_memory(config, plan, TRY(memory_of_ranks(plan.worker))));
  TRY(budget.check());
  return with_memory(std::move(plan), budget.num_blocks, budget.workspace_bytes);
}

Result<std::unique_ptr<engine::Engine>> create_engine(const model::ModelConfig& config,
                                                      const EngineOptions& options) {
  return engine::Engine::create(config, TRY(plan_engine(config, options)));
}

}  // namespace braid::start

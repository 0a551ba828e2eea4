#include "engine/engine_options.h"

#include <algorithm>

#include "passes/count_heat.h"

namespace braid::engine {
namespace {

using experts::ExpertPlacement;
using experts::PlacementSizes;

Error misplaced(std::string message) {
  return Error(ErrorKind::usage, "the experts can't be placed like this: " + std::move(message));
}

// The placement that these options ask for; null where every rank has just its share of experts.
Result<std::shared_ptr<const ExpertPlacement>> placement_of(const model::ModelConfig& config,
                                                            const EngineOptions& options) {
  std::shared_ptr<const ExpertPlacement> given = options.worker.model.placement;
  const int32_t wanted = options.redundant_experts.value_or(0);
  if (given == nullptr && wanted == 0) return given;
  const int32_t ep = options.worker.model.layout.moe.sizes[0];
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

}  // namespace

Result<EngineOptions> resolve(const model::ModelConfig& config, EngineOptions options) {
  if (options.context_length == 0) {
    options.context_length = static_cast<int32_t>(config.max_positions);
  }
  if (options.context_length > config.max_positions) {
    return Error(ErrorKind::usage, "the context is longer than the model's positions")
        .with("context-length", options.context_length)
        .with("max_position_embeddings", config.max_positions)
        .remedy("Lower --context-length.");
  }
  model::ModelOptions& sizes = options.worker.model;
  sizes.layout = TRY(layout::make_layout(model::layout_sizes(config), options.layout));
  sizes.placement = TRY(placement_of(config, options));
  sizes.expert_heat =
      passes::counts_heat(options.worker.passes.of<passes::HeatOptions>(), config.has_moe_layer());
  sizes.page_size = options.page_size;
  sizes.num_blocks = options.num_blocks;
  sizes.max_blocks = blocks_for(options.context_length, options.page_size);
  TRY(layers::check_dispatch(steps::dispatch_facts(config, sizes, 0), sizes.dispatch));
  const GroupSizes of_group = group_sizes(options);
  sizes.max_rows = {.decode = layers::bucket_of(of_group.max_running),
                    .prefill = layers::bucket_of(of_group.chunked_prefill_size)};
  return options;
}

GroupSizes group_sizes(const EngineOptions& options) {
  const int32_t groups = std::max(options.layout.dp, 1);
  return {.max_running = (options.max_running + groups - 1) / groups,
          .chunked_prefill_size = std::max(options.chunked_prefill_size / groups, 1)};
}

int32_t blocks_for(int64_t tokens, int32_t page_size) {
  return static_cast<int32_t>((tokens + page_size - 1) / page_size);
}

}  // namespace braid::engine

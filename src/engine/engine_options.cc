#include "engine/engine_options.h"

#include <algorithm>

namespace braid::engine {

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
  sizes.expert_heat = passes::counts_heat(options.worker.passes.heat, config.has_moe_layer());
  sizes.page_size = options.page_size;
  sizes.num_blocks = options.num_blocks;
  sizes.max_blocks = blocks_for(options.context_length, options.page_size);
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

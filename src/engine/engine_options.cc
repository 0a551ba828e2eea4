#include "engine/engine_options.h"

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
  if (options.layout.dp > 1) {
    return Error(ErrorKind::unsupported, "requests are not dealt out to groups of ranks yet")
        .with("dp", options.layout.dp)
        .remedy("Leave dp at 1, or raise tp.");
  }
  model::ModelOptions& sizes = options.worker.model;
  sizes.layout = TRY(layout::make_layout(model::layout_sizes(config), options.layout));
  sizes.page_size = options.page_size;
  sizes.num_blocks = options.num_blocks;
  sizes.max_blocks = blocks_for(options.context_length, options.page_size);
  sizes.max_rows = {.decode = layers::bucket_of(options.max_running),
                    .prefill = layers::bucket_of(options.chunked_prefill_size)};
  return options;
}

int32_t blocks_for(int64_t tokens, int32_t page_size) {
  return static_cast<int32_t>((tokens + page_size - 1) / page_size);
}

}  // namespace braid::engine

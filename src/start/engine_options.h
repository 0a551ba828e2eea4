// What an engine is made for: its sizes and how its worker runs.
#pragma once

#include <optional>

#include "model/config.h"
#include "ranks/worker_options.h"

namespace braid::engine {

struct EngineOptions {
  ranks::WorkerOptions
      worker;  // its model options' sizes and layout are filled in from what follows
  layout::LayoutOptions layout;
  // Slots beyond one an expert, for replicas, on all ranks together; as many as the placement in
  // worker.model has, where one is given. 0 and no placement: every rank has its share.
  std::optional<int32_t> redundant_experts;
  int32_t context_length = 0;          // tokens of prompt and answer; 0: the model's own limit
  int32_t max_running = 8;             // sequences in a step, on all groups of ranks together
  int32_t chunked_prefill_size = 512;  // prefill rows in a step, likewise
  int32_t page_size = 16;
  // Each step is planned and started while the one before it runs: its tokens come a step later.
  bool run_ahead = false;
  int32_t num_blocks = 0;  // KV blocks of every rank; 0: as plan_memory() finds
};

// Fills in the context where none is given, the sizes of the model's buffers and the layout.
// `usage` when the context is longer than the model's positions, or the layout or the placement of
// experts is not legal for the model.
Result<EngineOptions> resolve(const model::ModelConfig& config, EngineOptions options);

// What of these one group of ranks with its own requests has.
struct GroupSizes {
  int32_t max_running = 0;
  int32_t chunked_prefill_size = 0;
};
GroupSizes group_sizes(const EngineOptions& options);

// Blocks that hold `tokens` tokens.
int32_t blocks_for(int64_t tokens, int32_t page_size);

}  // namespace braid::engine

// What an engine is made for: its sizes and how its worker runs.
#pragma once

#include <chrono>
#include <optional>

#include "base/link_speed.h"
#include "engine/backend.h"
#include "engine/schedules.h"
#include "model/config.h"

namespace braid::engine {

struct WorkerOptions {
  DeviceKind device = DeviceKind::cpu;
  model::ModelOptions model;
  PassOptions passes;
  bool serial = false;  // run op by op on the calling thread, in program order
  flow::Delays delays;  // random pauses before ops, to shake out missing waits
  flow::Fault fault;    // asked for by tests, on rank `fault_rank`
  int32_t fault_rank = 0;
  // How long a rank may wait for another one.
  std::chrono::milliseconds step_timeout = std::chrono::seconds(300);
  std::optional<LinkSpeed> link;  // that collectives take as long as; none: as fast as they are
};

struct EngineOptions {
  WorkerOptions worker;  // its model options' sizes and layout are filled in from what follows
  layout::LayoutOptions layout;
  // Slots beyond one an expert, for replicas, on all ranks together; as many as the placement in
  // worker.model has, where one is given. 0 and no placement: every rank has its share.
  std::optional<int32_t> redundant_experts;
  int32_t context_length = 0;          // tokens of prompt and answer; 0: the model's own limit
  int32_t max_running = 8;             // sequences in a step, on all groups of ranks together
  int32_t chunked_prefill_size = 512;  // prefill rows in a step, likewise
  int32_t page_size = 16;
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

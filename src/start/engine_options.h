// What is asked of an engine, by a command's options or by a test.
#pragma once

#include <optional>

#include "layout/layout.h"
#include "ranks/worker_options.h"

namespace braid::start {

struct EngineOptions {
  // Device, dtype, passes and other options of ranks. The layout, the sizes and the memory in it
  // are open: resolve() fills them in from the fields below.
  ranks::WorkerOptions worker;
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
  int32_t num_blocks = 0;  // KV blocks of every rank; 0: as many as fit (memory_budget.h)
};

// What a command needs of the engine, where that is less than what the options allow.
struct EngineNeeds {
  int64_t context_length = 0;  // tokens of its longest request; 0: the whole context
  int64_t max_running = 1;     // requests in a step
  int64_t prefill_rows = 0;    // in a step; 0: --chunked-prefill-size
  model::Probes probes;
  bool expert_heat = false;        // whether the command reads it
  bool extended_sampling = false;  // whether requests ask for any: such steps are captured, too
  bool run_ahead = false;  // see EngineOptions; commands that look at ranks between steps leave it
  bool engine = true;      // whether one is started at all
};

}  // namespace braid::start

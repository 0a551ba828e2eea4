// What an engine is made of: start/ resolves it once from what was asked for; nothing changes it
// afterwards.
#pragma once

#include "ranks/worker_options.h"

namespace braid::engine {

// The share of one group of ranks, which has its own requests.
struct GroupSizes {
  int32_t max_running = 0;
  int32_t chunked_prefill_size = 0;
};

struct EnginePlan {
  // The options of every rank, who fills in its number. worker.model has the KV blocks.
  ranks::WorkerOptions worker;
  int32_t context_length = 0;        // tokens of prompt and answer
  int32_t max_running = 0;           // sequences in a step, on all groups of ranks together
  int32_t chunked_prefill_size = 0;  // prefill rows in a step, likewise
  // Each step is planned and started while the one before it runs: its tokens come a step later.
  bool run_ahead = false;

  const model::ModelOptions& model() const { return worker.model; }
  int32_t groups() const { return worker.model.layout.attention.sizes[0]; }
  GroupSizes of_group() const {
    return {.max_running = (max_running + groups() - 1) / groups(),
            .chunked_prefill_size = std::max(chunked_prefill_size / groups(), 1)};
  }
};

}  // namespace braid::engine

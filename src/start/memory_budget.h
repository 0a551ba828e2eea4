// The memory that an engine will take, planned before anything is allocated.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "comm/control/control_plane.h"
#include "engine/engine_plan.h"
#include "model/config.h"

namespace braid::start {

// One line of the budget.
struct BudgetLine {
  std::string what;
  int64_t bytes = 0;
  std::string size;  // what the bytes follow from: "2048 tokens in 128 blocks"
};

struct MemoryBudget {
  std::vector<BudgetLine> lines;
  int32_t num_blocks = 0;       // of the KV cache: as asked for, or as many as fit
  int64_t workspace_bytes = 0;  // of each rank of this process
  int64_t available = 0;        // bytes that the machine can give; 0: unknown
  std::string remedy;           // which option to change when the total does not fit

  int64_t total() const;
  // Line by line: what, size, share of what is available.
  std::string table() const;
  // `exhausted`, with every line and the remedy, when the total is more than what is available.
  Status check() const;
};

// A memory, how many of the ranks lie in it, and which of them are of this process.
struct MemoryShare {
  int64_t available = 0;  // bytes; 0: unknown
  int32_t ranks = 1;
  int32_t first_here = 0;
  int32_t ranks_here = 1;
};

// That of an engine whose ranks are all in this process.
Result<MemoryShare> memory_of_ranks(const ranks::WorkerOptions& options);
// That of the rank of this process, on a host that has `ranks_here` of them.
Result<MemoryShare> memory_of_process(const ranks::WorkerOptions& options,
                                      const comm::ControlPlane& control, int32_t ranks_here);

// The budget of an engine with this plan. The largest steps of every rank of this process are
// compiled for it. Where the plan leaves the KV blocks open, the cache gets what max_running full
// contexts need, but no more than what is left beside all the rest. `unsupported` when the device
// has no kernel for an op.
Result<MemoryBudget> plan_memory(const model::ModelConfig& config, const engine::EnginePlan& plan,
                                 MemoryShare memory);

// The plan with its memory.
engine::EnginePlan with_memory(engine::EnginePlan plan, int32_t num_blocks,
                               int64_t workspace_bytes);

}  // namespace braid::start

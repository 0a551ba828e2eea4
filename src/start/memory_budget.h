// The memory that an engine will take, planned before anything is allocated.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/engine_options.h"
#include "model/config.h"

namespace braid::engine {

// One line of the budget.
struct BudgetLine {
  std::string what;
  int64_t bytes = 0;
  std::string size;  // what the bytes follow from: "2048 tokens in 128 blocks"
};

struct MemoryBudget {
  std::vector<BudgetLine> lines;
  int32_t num_blocks = 0;  // of the KV cache: as asked for, or as many as fit
  int64_t available = 0;   // bytes that the machine can give; 0: unknown
  std::string remedy;      // which option to change when the total does not fit

  int64_t total() const;
  // Line by line: what, size, share of what is available.
  std::string table() const;
  // `exhausted`, with every line and the remedy, when the total is more than what is available.
  Status check() const;
};

// A memory, and how many of the ranks lie in it.
struct MemoryShare {
  int64_t available = 0;  // bytes; 0: unknown
  int32_t ranks = 1;
};

// That of an engine whose ranks are all in this process.
Result<MemoryShare> memory_of_ranks(const ranks::WorkerOptions& options);
// That of a rank which is one of `here` processes on this host, on GPU `gpu` if on any.
Result<MemoryShare> memory_of_ranks(const ranks::WorkerOptions& options, int32_t here, int32_t gpu);

// The budget of an engine with these (resolved) options. Without num_blocks the KV cache gets what
// max_running full contexts need, but no more than what is left beside all the rest.
Result<MemoryBudget> plan_memory(const model::ModelConfig& config, const EngineOptions& options,
                                 MemoryShare memory);

}  // namespace braid::engine

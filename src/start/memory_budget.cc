#include "engine/memory_budget.h"

#include <algorithm>

#include "base/log.h"
#include "base/system_memory.h"

namespace braid::engine {
namespace {

constexpr double kSpare = 0.1;  // of what is available: for the tokenizer, threads, page tables

std::string human(int64_t bytes) { return format_bytes(static_cast<double>(bytes)); }

// Blocks of a rank for its group's full contexts.
int64_t wanted_blocks(const EngineOptions& options) {
  return int64_t{group_sizes(options).max_running} *
         blocks_for(options.context_length, options.page_size);
}

// As many as wanted, as far as they fit into `bytes`; at least one.
int32_t blocks_within(int64_t bytes, int64_t block_bytes, const EngineOptions& options) {
  const int64_t wanted = std::min<int64_t>(wanted_blocks(options), INT32_MAX);
  return static_cast<int32_t>(std::clamp<int64_t>(bytes / block_bytes, 1, wanted));
}

std::string describe_cache(int32_t num_blocks, const EngineOptions& options) {
  std::string text =
      fmt::format("{} tokens in {} blocks", int64_t{num_blocks} * options.page_size, num_blocks);
  if (options.layout.dp > 1) text += fmt::format(" on each of {} groups", options.layout.dp);
  const int32_t most = group_sizes(options).max_running;
  const auto contexts =
      static_cast<double>(num_blocks) * most / static_cast<double>(wanted_blocks(options));
  if (contexts < most) {
    text += fmt::format(": {:.1f} of {} full contexts, later requests may have to wait", contexts,
                        most);
  }
  return text;
}

// What to change so that `options` fit, knowing what there is beside the KV cache.
std::string remedy_for(const EngineOptions& options, int64_t weights, int64_t fixed,
                       int64_t block_bytes, int64_t available) {
  if (fixed + block_bytes <= available) {
    return fmt::format("Lower --kv-blocks to {} or less.", (available - fixed) / block_bytes);
  }
  if (weights < available) {
    return "Lower --chunked-prefill-size: the workspace grows with the rows of a step.";
  }
  if (options.worker.model.dtype == Format::f32 && weights / 2 < available) {
    return "Use --dtype bfloat16: it halves the weights.";
  }
  return "The weights alone do not fit: take a smaller model, or a machine with more memory.";
}

}  // namespace

int64_t MemoryBudget::total() const {
  int64_t bytes = 0;
  for (const BudgetLine& line : lines) bytes += line.bytes;
  return bytes;
}

std::string MemoryBudget::table() const {
  std::string text;
  const auto add = [&](std::string_view what, int64_t bytes, std::string_view size) {
    const double share =
        available > 0 ? 100 * static_cast<double>(bytes) / static_cast<double>(available) : 0;
    text += fmt::format("  {:<12} {:>9} {:>6.1f} %  {}", what, human(bytes), share, size);
    text.erase(text.find_last_not_of(' ') + 1);
    text += '\n';
  };
  for (const BudgetLine& line : lines) add(line.what, line.bytes, line.size);
  add("total", total(), "");
  add("available", available, "");
  text.pop_back();
  return text;
}

Status MemoryBudget::check() const {
  if (available == 0 || total() <= available) return {};
  Error error = Error(ErrorKind::exhausted, "the engine does not fit into the memory")
                    .with("total", human(total()))
                    .with("available", human(available));
  for (const BudgetLine& line : lines) error = std::move(error).with(line.what, human(line.bytes));
  return std::move(error).remedy(remedy);
}

Result<MemoryBudget> plan_memory(const model::ModelConfig& config, const EngineOptions& options,
                                 MemoryShare memory) {
  const int64_t available = memory.available;
  ranks::WorkerOptions planned = options.worker;
  planned.model.num_blocks = 1;  // the rest does not depend on how many there are
  model::DecoderModel model(config, planned.model);
  flow::LauncherTable table;
  TRY(ranks::register_kernels(table, planned.device));
  // All ranks have buffers of the same sizes.
  const int64_t ranks = memory.ranks;
  const int64_t workspace =
      ranks * TRY(steps::Schedules(model, table, planned.passes).workspace_bytes());

  const int64_t block_bytes =
      ranks * options.page_size *
      model::DecoderModel::cache_bytes_per_token(config, planned.model.dtype, planned.model.layout);
  const int64_t weights = ranks * model.residents().bytes(flow::Lifetime::weight);
  const int64_t state = ranks * model.residents().bytes(flow::Lifetime::carried) - block_bytes;
  const int64_t fixed = weights + workspace + state;

  MemoryBudget budget;
  budget.available = available;
  budget.num_blocks = options.num_blocks;
  if (budget.num_blocks == 0) {
    const auto usable = static_cast<int64_t>(static_cast<double>(available) * (1 - kSpare));
    budget.num_blocks =
        blocks_within(available > 0 ? usable - fixed : INT64_MAX, block_bytes, options);
  }
  budget.lines = {
      {"weights", weights,
       std::string(dtype_name(planned.model.dtype)) +
           (ranks > 1 ? fmt::format("; all lines: {} ranks together", ranks) : "")},
      {"workspace", workspace,
       fmt::format("steps of up to {} decode and {} prefill rows", planned.model.max_rows.decode,
                   planned.model.max_rows.prefill)},
      {"KV cache", budget.num_blocks * block_bytes, describe_cache(budget.num_blocks, options)},
      {"other state", state, "step inputs, sampled ids, probes"}};
  budget.remedy = remedy_for(options, weights, fixed, block_bytes, available);
  return budget;
}

Result<MemoryShare> memory_of_ranks(const ranks::WorkerOptions& options) {
  if (options.device == ranks::DeviceKind::cuda) return memory_of_ranks(options, 1, 0);
  return MemoryShare{available_memory(), options.model.layout.world};
}

Result<MemoryShare> memory_of_ranks(const ranks::WorkerOptions& options, int32_t here,
                                    int32_t gpu) {
  if (options.device == ranks::DeviceKind::cuda) {
    return MemoryShare{TRY(ranks::free_gpu_memory(gpu)), 1};
  }
  return MemoryShare{available_memory(here), here};
}

}  // namespace braid::engine

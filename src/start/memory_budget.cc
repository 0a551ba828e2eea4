#include "start/memory_budget.h"

#include <algorithm>

#include "base/log.h"
#include "base/system_memory.h"
#include "engine/block_pool.h"
#include "ranks/rank_compiler.h"

namespace braid::start {
namespace {

using engine::EnginePlan;

constexpr double kSpare = 0.1;  // of what is available: for the tokenizer, threads, page tables

std::string human(int64_t bytes) { return format_bytes(static_cast<double>(bytes)); }

// Blocks of a rank for its group's full contexts.
int64_t wanted_blocks(const EnginePlan& plan) {
  return int64_t{plan.of_group().max_running} *
         engine::blocks_for(plan.context_length, plan.model().page_size);
}

// As many as are wanted and fit into `bytes`; at least one.
int32_t blocks_within(int64_t bytes, int64_t block_bytes, const EnginePlan& plan) {
  const int64_t wanted = std::min<int64_t>(wanted_blocks(plan), INT32_MAX);
  return static_cast<int32_t>(std::clamp<int64_t>(bytes / block_bytes, 1, wanted));
}

std::string describe_cache(int32_t num_blocks, const EnginePlan& plan) {
  std::string text = fmt::format("{} tokens in {} blocks",
                                 int64_t{num_blocks} * plan.model().page_size, num_blocks);
  if (plan.groups() > 1) text += fmt::format(" on each of {} groups", plan.groups());
  const int32_t most = plan.of_group().max_running;
  const auto contexts =
      static_cast<double>(num_blocks) * most / static_cast<double>(wanted_blocks(plan));
  if (contexts < most) {
    text += fmt::format(": {:.1f} of {} full contexts, later requests may have to wait", contexts,
                        most);
  }
  return text;
}

// The option to change so that `plan` fits; `fixed` is everything but the KV cache.
std::string remedy_for(const EnginePlan& plan, int64_t weights, int64_t fixed, int64_t block_bytes,
                       int64_t available) {
  if (fixed + block_bytes <= available) {
    return fmt::format("Lower --kv-blocks to {} or less.", (available - fixed) / block_bytes);
  }
  if (weights < available) {
    return "Lower --chunked-prefill-size: the workspace grows with the rows of a step.";
  }
  if (plan.model().dtype == Format::f32 && weights / 2 < available) {
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

Result<MemoryBudget> plan_memory(const model::ModelConfig& config, const EnginePlan& plan,
                                 MemoryShare memory) {
  const int64_t available = memory.available;
  ranks::WorkerOptions of_rank = plan.worker;
  of_rank.model.num_blocks = 1;  // the rest does not depend on how many there are
  std::unique_ptr<ranks::RankCompiler> rank;
  int64_t workspace = 0;
  for (int32_t here = 0; here < memory.ranks_here; ++here) {
    of_rank.model.rank = memory.first_here + here;
    rank = TRY(ranks::RankCompiler::create(config, of_rank));
    workspace = std::max(workspace, TRY(rank->workspace_bytes()));
  }
  // All ranks have resident buffers of the same sizes.
  const flow::Residents& residents = rank->model().residents();
  const int64_t ranks = memory.ranks;

  const int64_t block_bytes =
      ranks * of_rank.model.page_size *
      model::DecoderModel::cache_bytes_per_token(config, of_rank.model.dtype, of_rank.model.layout);
  const int64_t weights = ranks * residents.bytes(flow::Lifetime::weight);
  const int64_t state = ranks * residents.bytes(flow::Lifetime::carried) - block_bytes;
  const int64_t fixed = weights + ranks * workspace + state;

  MemoryBudget budget;
  budget.available = available;
  budget.workspace_bytes = workspace;
  budget.num_blocks = plan.model().num_blocks;
  if (budget.num_blocks == 0) {
    const auto usable = static_cast<int64_t>(static_cast<double>(available) * (1 - kSpare));
    budget.num_blocks =
        blocks_within(available > 0 ? usable - fixed : INT64_MAX, block_bytes, plan);
  }
  budget.lines = {
      {"weights", weights,
       std::string(dtype_name(of_rank.model.dtype)) +
           (ranks > 1 ? fmt::format("; all lines: {} ranks together", ranks) : "")},
      {"workspace", ranks * workspace,
       fmt::format("steps of up to {} decode and {} prefill rows", of_rank.model.max_rows.decode,
                   of_rank.model.max_rows.prefill)},
      {"KV cache", budget.num_blocks * block_bytes, describe_cache(budget.num_blocks, plan)},
      {"other state", state, "step inputs, sampled ids, probes"}};
  budget.remedy = remedy_for(plan, weights, fixed, block_bytes, available);
  return budget;
}

EnginePlan with_memory(EnginePlan plan, int32_t num_blocks, int64_t workspace_bytes) {
  plan.worker.model.num_blocks = num_blocks;
  plan.worker.workspace_bytes = workspace_bytes;
  return plan;
}

Result<MemoryShare> memory_of_ranks(const ranks::WorkerOptions& options) {
  if (options.device == ranks::DeviceKind::cuda) {
    return MemoryShare{.available = TRY(ranks::free_gpu_memory(0))};
  }
  const int32_t world = options.model.layout.world;
  return MemoryShare{.available = available_memory(), .ranks = world, .ranks_here = world};
}

Result<MemoryShare> memory_of_process(const ranks::WorkerOptions& options,
                                      const comm::ControlPlane& control, int32_t ranks_here) {
  if (options.device == ranks::DeviceKind::cpu) {
    return MemoryShare{.available = available_memory(ranks_here),
                       .ranks = ranks_here,
                       .first_here = control.rank()};
  }
  if (ranks_here != control.size()) {
    return Error(ErrorKind::unsupported, "GPUs of several hosts don't work together yet")
        .with("ranks", control.size())
        .with("on this host", ranks_here)
        .remedy("Use the GPUs of one host, or --device cpu.");
  }
  return MemoryShare{.available = TRY(ranks::free_gpu_memory(control.local_rank())),
                     .first_here = control.rank()};
}

}  // namespace braid::start

// Engine: requests in, tokens out. Continuous batching over the ranks of a layout, which all run
// the same steps. Requests are dealt out to the groups of ranks along dp; each has a scheduler and
// KV blocks of its own. A group without requests still takes part in the others' collectives.
#pragma once

#include <optional>

#include "comm/control/control_plane.h"
#include "engine/engine_plan.h"
#include "engine/scheduler.h"
#include "engine/step_inputs.h"
#include "ranks/ranks.h"

namespace braid::engine {

// A step of one group of ranks.
struct GroupStep {
  Plan plan;
  layers::StepShape shape;
  std::vector<LogitRow> logit_rows;
};

// Sees a step of all groups after it has run, for evaluation and tests; or before it runs, to place
// what the step reads beside its inputs (forced experts).
using StepObserver = std::function<void(int64_t step, std::span<const GroupStep> groups)>;

// How busy the engine is, all groups of ranks together, and what it has done so far.
struct EngineStats {
  int64_t running = 0;  // requests with rows computed
  int64_t waiting = 0;
  int64_t blocks = 0;  // of the KV cache
  int64_t blocks_used = 0;
  int64_t steps = 0;         // all that follow: since the start
  int64_t rows = 0;          // tokens computed
  int64_t padding_rows = 0;  // computed beside them, because steps have few sizes
  int64_t preemptions = 0;
  int64_t recomputed = 0;  // tokens computed once more, after preemption
};

class Engine {
 public:
  // Allocates; weights are not read yet. `exhausted` when the machine does not give the memory.
  // The ranks are in this process; with `control`, which must outlive the engine, processes of
  // which this is rank 0's (process_ranks.h).
  static Result<std::unique_ptr<Engine>> create(const model::ModelConfig& config, EnginePlan plan,
                                                comm::ControlPlane* control = nullptr);

  // Reads the weights of all ranks; progress as in WeightPlan::load.
  Status load(const model::TensorSource& source,
              const std::function<void(int64_t)>& progress = nullptr) {
    return ranks_->load(source, progress);
  }

  // Queues a request. Refuses an empty prompt, ids outside the vocabulary, a prompt that with
  // max_tokens exceeds the context, sampling parameters out of range.
  Result<RequestId> submit(Request request);
  // Takes a request out; false when it has ended or was never submitted.
  bool cancel(RequestId id);

  // The tokens of one more step. After a step that failed, all later ones return its error. With
  // EnginePlan::run_ahead the next step has then been started already (ahead_loop.cc), unless an
  // observer wants to see the ranks between steps; otherwise nothing runs (plain_loop.cc).
  Result<std::vector<TokenEvent>> step();
  bool idle() const;

  // Rank 0; where there is one group of ranks, its logits and sampled ids are those of all.
  ranks::Worker& worker() { return (*ranks_)[0]; }
  ranks::Ranks& ranks() { return *ranks_; }
  const EnginePlan& plan() const { return plan_; }
  const model::ModelConfig& config() const { return (*ranks_)[0].model().config(); }
  int64_t steps() const { return step_; }
  int64_t preemptions() const;
  EngineStats stats() const;
  // Between steps: nothing may be in flight.
  void set_preparer(StepObserver preparer);
  // See BlockPool::keep_log; of one group's ranks.
  void keep_lease_log(std::vector<flow::Lease>* log, int32_t group = 0) {
    groups_[static_cast<size_t>(group)]->pool.keep_log(log);
  }
  void set_observer(StepObserver observer);

 private:
  // What the ranks of one group share.
  struct Group {
    Group(int32_t num_blocks, const SchedulerOptions& options)
        : pool(num_blocks), scheduler(options, pool) {}
    BlockPool pool;
    Scheduler scheduler;
  };

  // A step that runs on the ranks.
  struct InFlight {
    int64_t number = 0;
    std::vector<GroupStep> groups;
  };

  Engine(EnginePlan plan, std::unique_ptr<ranks::Ranks> ranks);
  Scheduler& least_loaded();
  bool runs_ahead() const { return plan_.run_ahead && !preparer_ && !observer_; }
  Result<std::vector<TokenEvent>> step_plainly();
  Result<std::vector<TokenEvent>> step_ahead();
  std::vector<GroupStep> plan_step();
  void choose_shapes(std::span<GroupStep> steps) const;
  void fill_inputs(std::span<GroupStep> steps);
  void expect_tokens(std::span<const GroupStep> steps);
  // Plans and starts the next step; nothing where there are no rows to compute, or where it must
  // wait for the step in flight.
  Result<std::optional<InFlight>> launch(ranks::Ranks::Order order);
  // Waits for a step and delivers its tokens.
  Result<std::vector<TokenEvent>> collect(const InFlight& step);
  Status deliver(int32_t group, int64_t number, const GroupStep& step,
                 std::vector<TokenEvent>& events);

  const EnginePlan plan_;
  std::unique_ptr<ranks::Ranks> ranks_;
  std::vector<std::unique_ptr<Group>> groups_;
  RequestId last_request_ = 0;
  int64_t step_ = 0;  // the last one that was started
  int64_t rows_ = 0;  // computed in all steps
  int64_t padding_rows_ = 0;
  std::optional<InFlight> in_flight_;
  Status failure_;
  StepObserver preparer_;
  StepObserver observer_;
};

}  // namespace braid::engine

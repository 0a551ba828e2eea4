// Engine: requests in, tokens out. Continuous batching over the ranks of a layout, which all run
// the same steps.
#pragma once

#include "engine/ranks.h"
#include "engine/scheduler.h"
#include "engine/step_words.h"

namespace braid::engine {

// Sees a step after it has run: its number, plan and rows with logits. For evaluation and tests.
using StepObserver =
    std::function<void(int64_t step, const Plan& plan, const layers::StepShape& shape,
                       const std::vector<LogitRow>& logit_rows)>;

// Sees a step before it runs, to place what the step reads beside its inputs (forced experts).
using StepPreparer =
    std::function<void(int64_t step, const Plan& plan, const layers::StepShape& shape)>;

class Engine {
 public:
  // Plans and allocates; weights are not read yet. `exhausted` with the memory budget when the
  // machine cannot give it.
  static Result<std::unique_ptr<Engine>> create(const model::ModelConfig& config,
                                                EngineOptions options);

  // Reads the weights of all ranks; progress as in WeightPlan::load.
  Status load(const model::TensorSource& source,
              const std::function<void(int64_t)>& progress = nullptr) {
    return ranks_->load(source, progress);
  }

  // Queues a request. Refuses an empty prompt, ids outside the vocabulary, a prompt that with
  // max_tokens exceeds the context, sampling parameters out of range.
  Result<RequestId> submit(Request request);
  // Takes a request out; false when it is not here (any more).
  bool cancel(RequestId id) { return scheduler_.cancel(id); }

  // Runs one step of what is queued; the tokens that it gave. After a step that failed, all later
  // ones return its error.
  Result<std::vector<TokenEvent>> step();
  bool idle() const { return scheduler_.idle(); }

  // Rank 0, whose logits and sampled ids are those of all ranks.
  Worker& worker() { return (*ranks_)[0]; }
  Ranks& ranks() { return *ranks_; }
  const EngineOptions& options() const { return options_; }
  const model::ModelConfig& config() const { return (*ranks_)[0].model().config(); }
  int64_t steps() const { return step_; }
  int64_t preemptions() const { return scheduler_.preemptions(); }
  void set_preparer(StepPreparer preparer) { preparer_ = std::move(preparer); }
  // See BlockPool::keep_log.
  void keep_lease_log(std::vector<flow::Lease>* log) { pool_.keep_log(log); }
  void set_observer(StepObserver observer) { observer_ = std::move(observer); }

 private:
  Engine(EngineOptions options, std::unique_ptr<Ranks> ranks);
  std::vector<TokenEvent> deliver(const std::vector<LogitRow>& logit_rows);

  EngineOptions options_;
  std::unique_ptr<Ranks> ranks_;
  BlockPool pool_;
  Scheduler scheduler_;
  RequestId last_request_ = 0;
  int64_t step_ = 0;
  Status failure_;
  StepPreparer preparer_;
  StepObserver observer_;
};

}  // namespace braid::engine

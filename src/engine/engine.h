// Engine: requests in, tokens out. Continuous batching over one rank's Worker.
#pragma once

#include "engine/scheduler.h"
#include "engine/step_words.h"
#include "engine/worker.h"

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
  // Plans and allocates; worker().load() reads the weights. `exhausted` with the memory budget when
  // the machine cannot give it.
  static Result<std::unique_ptr<Engine>> create(const model::ModelConfig& config,
                                                EngineOptions options);

  // Queues a request. Refuses an empty prompt, ids outside the vocabulary, a prompt that with
  // max_tokens exceeds the context, sampling parameters out of range.
  Result<RequestId> submit(Request request);
  // Takes a request out; false when it is not here (any more).
  bool cancel(RequestId id) { return scheduler_.cancel(id); }

  // Runs one step of what is queued; the tokens that it gave.
  Result<std::vector<TokenEvent>> step();
  bool idle() const { return scheduler_.idle(); }

  Worker& worker() { return *worker_; }
  const EngineOptions& options() const { return options_; }
  const model::ModelConfig& config() const { return worker_->model().config(); }
  int64_t steps() const { return step_; }
  int64_t preemptions() const { return scheduler_.preemptions(); }
  void set_preparer(StepPreparer preparer) { preparer_ = std::move(preparer); }
  // See BlockPool::keep_log.
  void keep_lease_log(std::vector<flow::Lease>* log) { pool_.keep_log(log); }
  void set_observer(StepObserver observer) { observer_ = std::move(observer); }

 private:
  Engine(EngineOptions options, std::unique_ptr<Worker> worker);
  std::vector<TokenEvent> deliver(const std::vector<LogitRow>& logit_rows);

  EngineOptions options_;
  std::unique_ptr<Worker> worker_;
  BlockPool pool_;
  Scheduler scheduler_;
  RequestId last_request_ = 0;
  int64_t step_ = 0;
  StepPreparer preparer_;
  StepObserver observer_;
};

}  // namespace braid::engine

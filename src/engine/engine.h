// Engine: requests in, tokens out. Continuous batching over one rank's Worker.
#pragma once

#include "engine/scheduler.h"
#include "engine/step_words.h"
#include "engine/worker.h"

namespace braid::engine {

struct EngineOptions {
  WorkerOptions worker;        // its model options' sizes are filled in from what follows
  int32_t context_length = 0;  // tokens of prompt and answer; 0: the model's own limit
  int32_t max_running = 8;     // sequences in a step
  int32_t chunked_prefill_size = 512;
  int32_t page_size = 16;
  int32_t num_blocks = 0;  // 0: as many as max_running full contexts, within half the memory
};

// Sees a step after it has run: its number, plan and rows with logits. For evaluation and tests.
using StepObserver =
    std::function<void(int64_t step, const Plan& plan, const layers::StepShape& shape,
                       const std::vector<LogitRow>& logit_rows)>;

class Engine {
 public:
  // Plans and allocates; worker().load() reads the weights.
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
  StepObserver observer_;
};

}  // namespace braid::engine

// Worker: one rank: the model's memory on its device, its Schedules, its executor.
#pragma once

#include <array>
#include <memory>
#include <string>

#include "flow/trace.h"
#include "model/tensor_source.h"
#include "ranks/worker_options.h"
#include "steps/step_order.h"

namespace braid::ranks {

class Worker {
 public:
  // Declares and allocates everything, the workspace of options.workspace_bytes among it; weights
  // are not read yet, and no step is compiled. `exhausted` when memory does not suffice.
  static Result<std::unique_ptr<Worker>> create(const model::ModelConfig& config,
                                                const WorkerOptions& options,
                                                std::unique_ptr<Backend> backend);
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker();

  // Reads the weights while so many ranks of this host do; progress as in model::Loading.
  Status load(const model::TensorSource& source, int32_t ranks_loading,
              const std::function<void(int64_t)>& progress = nullptr);

  // Runs every decode step of up to options.max_captured_rows rows once, with padding, and captures
  // it, so that later ones are replays. All ranks do so together, after load(); says what a replay
  // of the largest consists of. Nothing where the device captures nothing.
  Result<std::string> capture();

  const model::DecoderModel& model() const { return model_; }
  device::Device& device() { return backend_->device(); }
  steps::Schedules& schedules() { return schedules_; }

  // The host's words of step inputs, to be filled before run(step). Steps use two sets in turn.
  std::span<int32_t> host_words(int64_t step);
  // Starts one step and returns. Its inputs may be overwritten, and the step after the next one may
  // be started, when wait(step) has returned.
  Status submit(const layers::StepShape& shape, int64_t step);
  // Waits for a step and its read-back. `fault` when a collective failed.
  Status wait(int64_t step);
  // Sampled ids of a step that has run, one a logits row.
  std::span<const int32_t> sampled(int64_t step) const;
  // Log probabilities of a step of extended sampling that has run, as layers::LogprobLayout says.
  std::span<const int32_t> logprobs(int64_t step) const;
  // How often experts have been chosen up to a step that has run, for the last two steps: see
  // layers::HeatBuffers. Nothing where heat isn't counted.
  std::span<const uint64_t> heat(int64_t step) const;
  // Bytes of a copy of a resident buffer, on the device or of the host, between steps.
  void read(void* to, int32_t resident, int32_t copy, int64_t offset, int64_t bytes);
  void write(int32_t resident, int32_t copy, int64_t offset, const void* from, int64_t bytes);
  // Start of a resident buffer on the device.
  std::byte* data(int32_t resident) const { return model_.residents().data(resident); }

  void set_trace(flow::Trace* trace) { trace_ = trace; }
  // How the next steps run.
  void set_execution(bool serial, flow::Delays delays);

 private:
  Worker(const model::ModelConfig& config, const WorkerOptions& options,
         std::unique_ptr<Backend> backend);
  Status allocate();
  Status run_serial(const flow::BoundSchedule& bound, int64_t step);
  Result<std::string> capture(const layers::StepShape& shape);
  // The words of a resident of the host, in the copy that a step uses.
  std::span<const int32_t> words_of(int32_t resident, int64_t step) const;

  WorkerOptions options_;
  std::unique_ptr<Backend> backend_;
  model::DecoderModel model_;
  steps::Schedules schedules_;
  std::vector<device::Memory> memory_;
  flow::Trace* trace_ = nullptr;
  steps::StepOrder<flow::Ticket> order_{0};
  std::array<flow::Ticket, 2> last_runs_ = {};  // of the last even step and the last odd one
};

}  // namespace braid::ranks

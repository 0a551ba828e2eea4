// Worker: one rank: the model's memory on its device, its Schedules, its executor.
#pragma once

#include <memory>
#include <string>

#include "comm/comm.h"
#include "device/cpu/cpu_device.h"
#include "engine/engine_options.h"
#include "engine/step_order.h"
#include "flow/trace.h"
#include "model/tensor_source.h"

namespace braid::engine {

class Worker {
 public:
  // Declares, plans and allocates everything; weights are not read yet. `communicators`: this
  // rank's ends, by their ids in the layout; they must outlive the Worker. `exhausted` when memory
  // does not suffice.
  static Result<std::unique_ptr<Worker>> create(
      const model::ModelConfig& config, const WorkerOptions& options,
      std::vector<comm::Communicator*> communicators = {});

  // Reads the weights; progress as in WeightPlan::load.
  Status load(const model::TensorSource& source,
              const std::function<void(int64_t)>& progress = nullptr);

  const model::DecoderModel& model() const { return model_; }
  device::Device& device() { return device_; }
  Schedules& schedules() { return schedules_; }

  // The host's words of step inputs, to be filled before run(step). Steps use two sets in turn.
  std::span<int32_t> host_words(int64_t step);
  // Runs one step and its read-back, and waits for both. `fault` when a collective failed.
  Status run(const layers::StepShape& shape, int64_t step);
  // Sampled ids of a step that has run, one a logits row.
  std::span<const int32_t> sampled(int64_t step) const;
  // How often experts have been chosen up to a step that has run, for the last two steps: see
  // passes::HeatBuffers. Nothing where heat isn't counted.
  std::span<const uint64_t> heat(int64_t step) const;
  // Start of a resident buffer on the device.
  std::byte* data(int32_t resident) const { return model_.residents().data(resident); }

  void set_trace(flow::Trace* trace) { trace_ = trace; }
  // How the next steps run.
  void set_execution(bool serial, flow::Delays delays);

 private:
  Worker(const model::ModelConfig& config, const WorkerOptions& options,
         std::vector<comm::Communicator*> communicators);
  Status allocate();
  Status launch(const layers::StepShape& shape, int64_t step);

  WorkerOptions options_;
  std::vector<comm::Communicator*> communicators_;
  device::CpuDevice device_;
  flow::LauncherTable table_;
  model::DecoderModel model_;
  Schedules schedules_;
  std::vector<device::Memory> memory_;
  flow::Trace* trace_ = nullptr;
  StepOrder<flow::Ticket> order_{0};
  flow::CpuExecutor executor_;  // last: its threads end before what they use
};

}  // namespace braid::engine

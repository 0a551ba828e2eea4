#include "engine/worker.h"

#include "ops/register_collectives_cpu.h"
#include "ops/register_cpu.h"

namespace braid::engine {

Worker::Worker(const model::ModelConfig& config, const WorkerOptions& options,
               std::vector<comm::Communicator*> communicators)
    : options_(options),
      communicators_(std::move(communicators)),
      model_(config, options.model),
      schedules_(model_, table_, options.passes),
      executor_(fmt::format("rank{}", options.model.rank)) {
  ops::register_cpu(table_);
  ops::register_collectives_cpu(table_, communicators_);
  executor_.set_delays(options.delays);
}

Result<std::unique_ptr<Worker>> Worker::create(const model::ModelConfig& config,
                                               const WorkerOptions& options,
                                               std::vector<comm::Communicator*> communicators) {
  TRY(device::CpuDevice::check_processor());
  std::unique_ptr<Worker> worker(new Worker(config, options, std::move(communicators)));
  TRY(worker->allocate());
  return worker;
}

Status Worker::allocate() {
  flow::Residents& residents = model_.residents();
  const int64_t workspace = TRY(schedules_.workspace_bytes());
  for (int32_t index = 0; index < residents.size(); ++index) {
    for (int32_t copy = 0; copy < residents[index].copies; ++copy) {
      memory_.push_back(TRY(device_.allocate(residents[index].bytes())));
      residents.set_data(index, copy, memory_.back().data());
    }
  }
  memory_.push_back(TRY(device_.allocate(workspace)));
  schedules_.bind_to(memory_.back().data(), workspace);
  for (const int32_t index : model_.state().forced_ids) {  // none is forced until it is placed
    if (index == model::kAbsent) continue;
    const std::vector<int32_t> none(static_cast<size_t>(residents[index].bytes()) / 4, -1);
    device_.upload(residents.data(index), none.data(), residents[index].bytes());
  }
  if (const passes::HeatBuffers& heat = model_.state().heat; heat.present()) {
    const std::vector<std::byte> zeros(static_cast<size_t>(residents[heat.counters].bytes()));
    device_.upload(residents.data(heat.counters), zeros.data(), std::ssize(zeros));
    for (const int32_t copy : {0, 1}) {  // what was counted before the first step
      device_.upload(residents.data(heat.host, copy), zeros.data(), std::ssize(zeros));
    }
  }
  return {};
}

Status Worker::load(const model::TensorSource& source,
                    const std::function<void(int64_t)>& progress) {
  return model_.weights().load(source, model_.residents(), device_, progress);
}

void Worker::set_execution(bool serial, flow::Delays delays) {
  options_.serial = serial;
  executor_.set_delays(delays);
}

std::span<int32_t> Worker::host_words(int64_t step) {
  const int32_t index = model_.state().inputs_host;
  return {
      reinterpret_cast<int32_t*>(model_.residents().data(index, static_cast<int32_t>(step & 1))),
      static_cast<size_t>(model_.residents()[index].rows)};
}

std::span<const int32_t> Worker::sampled(int64_t step) const {
  const int32_t index = model_.state().sampled_host;
  return {reinterpret_cast<const int32_t*>(
              model_.residents().data(index, static_cast<int32_t>(step & 1))),
          static_cast<size_t>(model_.residents()[index].rows)};
}

std::span<const uint64_t> Worker::heat(int64_t step) const {
  const int32_t index = model_.state().heat.host;
  if (index < 0) return {};
  const flow::Resident& resident = model_.residents()[index];
  return {reinterpret_cast<const uint64_t*>(
              model_.residents().data(index, static_cast<int32_t>(step & 1))),
          static_cast<size_t>(resident.rows * resident.cols)};
}

Status Worker::run(const layers::StepShape& shape, int64_t step) {
  TRY(launch(shape, step));
  for (const comm::Communicator* communicator : communicators_) TRY(communicator->status());
  return {};
}

Status Worker::launch(const layers::StepShape& shape, int64_t step) {
  const CompiledStep* compiled = TRY(schedules_.get(shape));
  if (options_.serial) {
    flow::run_serial(compiled->bound, step);
    flow::run_serial(compiled->bound_readback, step);
    return {};
  }
  if (trace_ != nullptr) trace_->begin_step(step, compiled->schedule, shape.to_string());
  const auto before = order_.before(step);
  const flow::Ticket ran =
      executor_.submit(compiled->bound, {.step = step, .after = before, .trace = trace_});
  const flow::Ticket readback =
      executor_.submit(compiled->bound_readback, {.step = step, .after = {&ran, 1}});
  order_.submitted(step, ran, readback);
  return executor_.wait(readback);
}

}  // namespace braid::engine

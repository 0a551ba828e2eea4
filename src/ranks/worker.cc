#include "ranks/worker.h"

#include <cstring>

namespace braid::ranks {

Worker::Worker(const model::ModelConfig& config, const WorkerOptions& options,
               std::unique_ptr<Backend> backend)
    : options_(options),
      backend_(std::move(backend)),
      model_(config, options.model),
      schedules_(model_, backend_->table(), options.passes) {
  backend_->set_delays(options.delays);
}

// Runs use memory and Schedules: they end first.
Worker::~Worker() {
  (void)backend_->executor().wait(last_run_);
  for (const auto& [shape, step] : schedules_.all()) {
    backend_->release(step->bound);
    backend_->release(step->bound_readback);
  }
}

Result<std::unique_ptr<Worker>> Worker::create(const model::ModelConfig& config,
                                               const WorkerOptions& options,
                                               std::unique_ptr<Backend> backend) {
  std::unique_ptr<Worker> worker(new Worker(config, options, std::move(backend)));
  TRY(worker->allocate());
  return worker;
}

device::Device& Worker::device_of(int32_t resident) {
  const model::StateBuffers& state = model_.state();
  const bool of_host = resident == state.inputs_host || resident == state.sampled_host ||
                       resident == state.heat.host;
  return of_host ? backend_->host() : backend_->device();
}

Status Worker::allocate() {
  flow::Residents& residents = model_.residents();
  const int64_t workspace = TRY(schedules_.workspace_bytes());
  for (int32_t index = 0; index < residents.size(); ++index) {
    for (int32_t copy = 0; copy < residents[index].copies; ++copy) {
      memory_.push_back(TRY(device_of(index).allocate(residents[index].bytes())));
      residents.set_data(index, copy, memory_.back().data());
    }
  }
  memory_.push_back(TRY(device().allocate(workspace)));
  schedules_.bind_to(memory_.back().data(), workspace);
  TRY(backend_->share_workspace(memory_.back().data(), workspace));
  for (const int32_t index : model_.state().forced_ids) {  // none is forced until it is placed
    if (index == model::kAbsent) continue;
    const std::vector<int32_t> none(static_cast<size_t>(residents[index].bytes()) / 4, -1);
    device().upload(residents.data(index), none.data(), residents[index].bytes());
  }
  if (const int32_t errors = model_.state().dispatch_errors; errors != model::kAbsent) {
    const std::vector<std::byte> zeros(static_cast<size_t>(residents[errors].bytes()));
    device().upload(residents.data(errors), zeros.data(), residents[errors].bytes());
  }
  if (const passes::HeatBuffers& heat = model_.state().heat; heat.present()) {
    const std::vector<std::byte> zeros(static_cast<size_t>(residents[heat.counters].bytes()));
    device().upload(residents.data(heat.counters), zeros.data(), std::ssize(zeros));
    for (const int32_t copy : {0, 1}) {  // what was counted before the first step
      std::memset(residents.data(heat.host, copy), 0, zeros.size());
    }
  }
  const layers::RowCounts most = model_.options().max_rows;
  for (const layers::RowCounts rows : {layers::RowCounts{most.decode, 0}, {0, most.prefill}}) {
    TRY(schedules_.get({rows, rows}));  // a kernel that isn't there is missed now
  }
  return {};
}

Status Worker::load(const model::TensorSource& source,
                    const std::function<void(int64_t)>& progress) {
  return model_.weights().load(source, model_.residents(), device(), progress);
}

void Worker::set_execution(bool serial, flow::Delays delays) {
  options_.serial = serial;
  backend_->set_delays(delays);
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

void Worker::read(void* to, int32_t resident, int32_t copy, int64_t offset, int64_t bytes) {
  device_of(resident).download(to, model_.residents().data(resident, copy) + offset, bytes);
}

void Worker::write(int32_t resident, int32_t copy, int64_t offset, const void* from,
                   int64_t bytes) {
  device_of(resident).upload(model_.residents().data(resident, copy) + offset, from, bytes);
}

Status Worker::run(const layers::StepShape& shape, int64_t step) {
  TRY(launch(shape, step));
  return backend_->collectives();
}

Status Worker::run_serial(const flow::BoundSchedule& bound, int64_t step) {
  for (size_t op = 0; op < bound.ops.size(); ++op) TRY(backend_->run_op(bound, op, step));
  return {};
}

Status Worker::launch(const layers::StepShape& shape, int64_t step) {
  const Result<const steps::CompiledStep*> found = schedules_.get(shape);
  if (!found.ok()) return Error(found.error()).with("step", step);
  const steps::CompiledStep* compiled = *found;
  if (options_.serial) {
    TRY(run_serial(compiled->bound, step));
    return run_serial(compiled->bound_readback, step);
  }
  if (trace_ != nullptr) trace_->begin_step(step, compiled->schedule, shape.to_string());
  flow::Executor& executor = backend_->executor();
  const auto before = order_.before(step);
  const flow::Ticket ran =
      executor.submit(compiled->bound, {.step = step, .after = before, .trace = trace_});
  last_run_ = executor.submit(compiled->bound_readback, {.step = step, .after = {&ran, 1}});
  order_.submitted(step, ran, last_run_);
  return executor.wait(last_run_);
}

}  // namespace braid::ranks

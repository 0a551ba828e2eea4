#include "ranks/worker.h"

#include "model/weight_loader.h"

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
  for (const flow::Ticket last : last_runs_) (void)backend_->executor().wait(last);
  for (const auto& [shape, step] : schedules_.all()) {
    backend_->release(step->bound);
    if (step->has_readback()) backend_->release(step->bound_readback);
  }
}

Result<std::unique_ptr<Worker>> Worker::create(const model::ModelConfig& config,
                                               const WorkerOptions& options,
                                               std::unique_ptr<Backend> backend) {
  std::unique_ptr<Worker> worker(new Worker(config, options, std::move(backend)));
  TRY(worker->allocate());
  return worker;
}

Status Worker::allocate() {
  flow::Residents& residents = model_.residents();
  const int64_t workspace = options_.workspace_bytes;
  memory_ = TRY(flow::allocate(residents, backend_->device(), backend_->host()));
  memory_.push_back(TRY(device().allocate(workspace)));
  schedules_.bind_to(memory_.back().data(), workspace);
  return backend_->share_workspace(memory_.back().data(), workspace);
}

Status Worker::load(const model::TensorSource& source, int32_t ranks_loading,
                    const std::function<void(int64_t)>& progress) {
  return model_.weights().load(source, model_.residents(),
                               {.device = device(),
                                .kernels = backend_->table(),
                                .threads = model::loader_threads(ranks_loading),
                                .progress = progress});
}

Result<std::string> Worker::capture() {
  const int32_t most =
      std::min(layers::bucket_of(options_.max_captured_rows), model_.options().max_rows.decode);
  std::string summary;
  for (int32_t rows = 1; rows <= most; rows = layers::bucket_of(rows + 1)) {
    summary = TRY(capture({{rows, 0}, {rows, 0}}));
    if (!options_.capture_extended_sampling) continue;
    TRY(capture({{rows, 0}, {rows, 0}, layers::Sampling::extended}));
  }
  return summary;
}

Result<std::string> Worker::capture(const layers::StepShape& shape) {
  layers::fill_padding(layers::InputLayout(shape.own, model_.limits(), shape.sampling),
                       host_words(0));
  // A first run loads kernels and connects ranks, which a capture must not do.
  TRY(submit(shape, 0));
  TRY(wait(0));
  const steps::CompiledStep* compiled = TRY(schedules_.get(shape));
  return backend_->capture(compiled->bound);
}

void Worker::set_execution(bool serial, flow::Delays delays) {
  options_.serial = serial;
  options_.delays = delays;
  backend_->set_delays(delays);
}

std::span<int32_t> Worker::host_words(int64_t step) {
  const int32_t index = model_.state().inputs_host;
  return {
      reinterpret_cast<int32_t*>(model_.residents().data(index, static_cast<int32_t>(step & 1))),
      static_cast<size_t>(model_.residents()[index].rows)};
}

std::span<const int32_t> Worker::words_of(int32_t resident, int64_t step) const {
  return {reinterpret_cast<const int32_t*>(
              model_.residents().data(resident, static_cast<int32_t>(step & 1))),
          static_cast<size_t>(model_.residents()[resident].rows)};
}

std::span<const int32_t> Worker::sampled(int64_t step) const {
  return words_of(model_.state().sampled_host, step);
}

std::span<const int32_t> Worker::logprobs(int64_t step) const {
  return words_of(model_.state().logprobs_host, step);
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
  const flow::Residents& residents = model_.residents();
  backend_->memory_of(residents[resident].home)
      .download(to, residents.data(resident, copy) + offset, bytes);
}

void Worker::write(int32_t resident, int32_t copy, int64_t offset, const void* from,
                   int64_t bytes) {
  const flow::Residents& residents = model_.residents();
  backend_->memory_of(residents[resident].home)
      .upload(residents.data(resident, copy) + offset, from, bytes);
}

Status Worker::run_serial(const flow::BoundSchedule& bound, int64_t step) {
  for (size_t op = 0; op < bound.ops.size(); ++op) TRY(backend_->run_op(bound, op, step));
  return {};
}

Status Worker::submit(const layers::StepShape& shape, int64_t step) {
  const Result<const steps::CompiledStep*> found = schedules_.get(shape);
  if (!found.ok()) return Error(found.error()).with("step", step);
  const steps::CompiledStep& compiled = **found;
  flow::Ticket& last = last_runs_[static_cast<size_t>(step & 1)];
  if (options_.serial) {
    last = 0;
    TRY(run_serial(compiled.bound, step));
    return compiled.has_readback() ? run_serial(compiled.bound_readback, step) : Status();
  }
  if (trace_ != nullptr) trace_->begin_step(step, compiled.schedule, shape.to_string());
  flow::Executor& executor = backend_->executor();
  const auto before = order_.before(step);
  const flow::Ticket ran = executor.submit(
      compiled.bound,
      {.step = step, .after = before, .replays = options_.delays.longest == 0, .trace = trace_});
  last = ran;
  if (compiled.has_readback()) {
    last = executor.submit(compiled.bound_readback, {.step = step, .after = {&ran, 1}});
  }
  order_.submitted(step, ran, last);
  return {};
}

Status Worker::wait(int64_t step) {
  const flow::Ticket last = last_runs_[static_cast<size_t>(step & 1)];
  if (last != 0) TRY(backend_->executor().wait(last));
  return backend_->collectives();
}

}  // namespace braid::ranks

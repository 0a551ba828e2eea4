#include "flow/cuda/cuda_executor.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <thread>

#include "device/cuda/stream_memory.h"
#include "flow/trace.h"

namespace braid::flow {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kBaseAge = 1'000'000'000;  // nanoseconds

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

Result<std::unique_ptr<CudaExecutor>> CudaExecutor::create(const CudaExecutorOptions& options) {
  std::unique_ptr<CudaExecutor> executor(new CudaExecutor(options));
  CudaLanes& lanes = executor->lanes_;
  for (const Lane lane : kLanes) {
    lanes.queues[index_of(lane)] = TRY(device::CudaQueue::create(lane == Lane::comm));
    lanes.ends[index_of(lane)] = TRY(device::CudaEvent::create());
  }
  lanes.start = TRY(device::CudaEvent::create());
  CUDA_TRY(cudaMallocHost(reinterpret_cast<void**>(&lanes.progress), kNumLanes * sizeof(uint32_t)));
  std::fill_n(lanes.progress, kNumLanes, 0);
  executor->base_ = TRY(device::CudaEvent::create(/*timed=*/true));
  TRY(executor->set_base());
  return executor;
}

// Times are counted from here. Nothing may be running.
Status CudaExecutor::set_base() {
  CUDA_TRY(cudaEventRecord(base_.get(), lanes_.stream(Lane::compute)));
  CUDA_TRY(cudaEventSynchronize(base_.get()));
  base_ns_ = Trace::now_ns();
  return {};
}

CudaExecutor::~CudaExecutor() {
  if (failed_.ok()) {
    for (const auto& [ticket, run] : running_) (void)await(run);
  }
  graphs_.clear();
  if (lanes_.progress != nullptr) cudaFreeHost(lanes_.progress);
}

Result<device::CudaEvent> CudaExecutor::take_event() {
  if (free_events_.empty()) return device::CudaEvent::create();
  device::CudaEvent event = std::move(free_events_.back());
  free_events_.pop_back();
  return event;
}

Ticket CudaExecutor::submit(const BoundSchedule& bound, const RunOptions& options) {
  Run run{.step = options.step, .schedule = bound.schedule, .trace = options.trace};
  if (failed_.ok()) failed_ = start(bound, options, run);
  if (failed_.ok()) running_.emplace(++last_, std::move(run));
  return last_;
}

Status CudaExecutor::start(const BoundSchedule& bound, const RunOptions& options, Run& run) {
  run.done = TRY(take_event());
  const Schedule& schedule = *bound.schedule;
  const cudaStream_t origin = lanes_.stream(origin_of(schedule));
  const bool timed = options.trace != nullptr;
  // A float tells microseconds for a few seconds alone, and the GPU's clock drifts from the host's.
  if (timed && running_.empty() && Trace::now_ns() - base_ns_ > kBaseAge) TRY(set_base());
  const auto graphs = graphs_.find(&bound);
  const Captured* captured = nullptr;
  if (graphs != graphs_.end()) {
    captured = &graphs->second[timed ? 1 : 0][static_cast<size_t>(options.step & 1)];
  }
  const bool replays = options.replays && captured != nullptr && captured->graph != nullptr;
  for (const Ticket ticket : options.after) {
    const auto before = running_.find(ticket);
    if (before == running_.end()) continue;
    for (const Lane lane : kLanes) {
      const bool used = !schedule.lanes[index_of(lane)].empty();
      if (lanes_.stream(lane) != origin && (replays || !used)) continue;
      CUDA_TRY(cudaStreamWaitEvent(lanes_.stream(lane), before->second.done.get()));
    }
  }
  if (replays) {
    run.times = captured->times;
    InlineVector<device::WordOp, kNumLanes> resets;
    for (const Lane lane : kLanes) {
      if (schedule.lanes[index_of(lane)].empty()) continue;
      resets.push_back({.word = lanes_.progress + index_of(lane), .value = 0});
    }
    TRY(device::word_ops(origin, {resets.begin(), resets.size()}));
    TRY(captured->graph->replay(origin));
  } else {
    if (timed) run.times = std::make_shared<OpTimes>(TRY(OpTimes::create(bound.ops.size())));
    auto events = events_.find(&bound);
    if (events == events_.end()) {
      events = events_.emplace(&bound, TRY(awaited_events(schedule))).first;
    }
    TRY(issue(bound, lanes_, events->second,
              {.step = options.step,
               .times = run.times.get(),
               .delays = options_.delays,
               .fault = options_.fault}));
  }
  CUDA_TRY(cudaEventRecord(run.done.get(), origin));
  return {};
}

bool CudaExecutor::done(Ticket ticket) const {
  const auto run = running_.find(ticket);
  return run == running_.end() || cudaEventQuery(run->second.done.get()) == cudaSuccess;
}

Status CudaExecutor::wait(Ticket ticket) {
  TRY(failed_);
  const auto found = running_.find(ticket);
  if (found == running_.end()) return {};
  failed_ = await(found->second);
  TRY(failed_);
  for (auto run = running_.begin(); run != running_.end() && run->first <= ticket;) {
    if (run->first != ticket && cudaEventQuery(run->second.done.get()) != cudaSuccess) {
      ++run;
      continue;
    }
    TRY(finish(run->second));
    run = running_.erase(run);
  }
  return {};
}

Status CudaExecutor::run_op(const BoundSchedule& bound, size_t op, int64_t step) {
  TRY(failed_);
  const Lane lane = bound.schedule->program.ops[op].lane;
  Run run{.done = TRY(take_event()), .step = step, .schedule = bound.schedule};
  // For lost(): all has ended but this op.
  std::fill_n(lanes_.progress, kNumLanes, std::numeric_limits<uint32_t>::max());
  lanes_.progress[index_of(lane)] = static_cast<uint32_t>(op);
  launch(bound, op, step, lanes_.queues[index_of(lane)].get());
  CUDA_TRY(cudaGetLastError());
  CUDA_TRY(cudaEventRecord(run.done.get(), lanes_.stream(lane)));
  failed_ = await(run);
  TRY(failed_);
  return finish(run);
}

// Polls until the run is done: at first without a pause, since most steps are short.
Status CudaExecutor::await(const Run& run) {
  const Clock::time_point start = Clock::now();
  for (int64_t polls = 1;; ++polls) {
    const cudaError_t state = cudaEventQuery(run.done.get());
    if (state == cudaSuccess) return {};
    if (state != cudaErrorNotReady) return device::cuda_status(state, "cudaEventQuery");
    if (polls % 64 != 0) continue;
    const double waited = seconds_since(start);
    if (waited > 5e-3) std::this_thread::sleep_for(std::chrono::microseconds(20));
    const Status others = options_.interrupted ? options_.interrupted() : Status();
    if (!others.ok()) return lost(run, others.error());
    if (waited > options_.step_timeout) {
      return lost(run, Error(ErrorKind::fault, "a step did not end in time")
                           .with("seconds", options_.step_timeout)
                           .remedy("Another rank may have died or left the agreed order of "
                                   "collectives; if the step is only slow, raise --step-timeout."));
    }
  }
}

// Records the run's times, counted from the base.
Status CudaExecutor::finish(Run& run) {
  const auto at = [&](const device::CudaEvent& event) -> Result<int64_t> {
    float milliseconds = 0;
    CUDA_TRY(cudaEventElapsedTime(&milliseconds, base_.get(), event.get()));
    return base_ns_ + static_cast<int64_t>(static_cast<double>(milliseconds) * 1e6);
  };
  if (run.times != nullptr) {
    for (size_t i = 0; i < run.times->starts.size(); ++i) {
      run.trace->record(run.step, static_cast<int32_t>(i), run.schedule->program.ops[i].lane,
                        TRY(at(run.times->starts[i])), TRY(at(run.times->ends[i])));
    }
  }
  free_events_.push_back(std::move(run.done));
  return {};
}

// Which ops have not ended though all that they wait for has: as far as the marks tell.
Error CudaExecutor::lost(const Run& run, Error why) const {
  const Schedule& schedule = *run.schedule;
  std::array<uint32_t, kNumLanes> marks{};
  for (size_t lane = 0; lane < kNumLanes; ++lane) {
    marks[lane] = *static_cast<volatile uint32_t*>(lanes_.progress + lane);
  }
  const auto ended = [&](int32_t op) {
    const Lane lane = schedule.program.ops[static_cast<size_t>(op)].lane;
    return marks[index_of(lane)] > static_cast<uint32_t>(op);
  };
  Error error = std::move(why).with("step", run.step);
  for (const Lane lane : kLanes) {
    const auto& ops = schedule.lanes[index_of(lane)];
    const auto next = std::find_if_not(ops.begin(), ops.end(), ended);
    if (next == ops.end()) continue;
    const Waits& waits = schedule.waits[static_cast<size_t>(*next)];
    if (!std::all_of(waits.begin(), waits.end(), ended)) continue;
    const Op& op = schedule.program.ops[static_cast<size_t>(*next)];
    error = std::move(error).with(fmt::format("unfinished on {}", name_of(lane)),
                                  fmt::format("op {}: {}", *next, schedule.program.describe(op)));
  }
  return error;
}

Result<GraphSummary> CudaExecutor::capture(const BoundSchedule& bound, bool timed) {
  Graphs& graphs = graphs_[&bound];
  GraphSummary summary;
  for (int64_t parity = 0; parity < 2; ++parity) {
    Captured& captured = graphs[timed ? 1 : 0][static_cast<size_t>(parity)];
    if (timed) captured.times = std::make_shared<OpTimes>(TRY(OpTimes::create(bound.ops.size())));
    captured.graph = TRY(CudaGraph::capture(
        bound, lanes_, {.step = parity, .times = captured.times.get(), .delays = options_.delays}));
    summary = captured.graph->summary();
  }
  return summary;
}

void CudaExecutor::release(const BoundSchedule& bound) {
  graphs_.erase(&bound);
  events_.erase(&bound);
}

}  // namespace braid::flow

#include "flow/cpu_executor.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <exception>

#include "flow/trace.h"

namespace braid::flow {

// One run. `ended[lane]` counts the ops of a lane that have ended; waits are for these counters
// alone, so an op sees everything that the ops it waits for wrote.
struct CpuExecutor::Run {
  Ticket ticket = 0;  // 0: none, the memory can be used
  CpuExecutor* executor = nullptr;
  const BoundSchedule* bound = nullptr;
  int64_t step = 0;
  Trace* trace = nullptr;
  Delays delays;
  std::vector<Run*> after;
  int32_t awaited = 0;             // by runs with a ticket, which read lanes_left
  std::vector<int32_t> positions;  // per op: its place in its lane
  std::array<std::atomic<int32_t>, kNumLanes> ended{};
  std::atomic<int32_t> lanes_left{0};

  bool done() const { return lanes_left.load(std::memory_order_acquire) == 0; }
  void wait() const {
    for (int32_t left = lanes_left.load(std::memory_order_acquire); left != 0;
         left = lanes_left.load(std::memory_order_acquire)) {
      lanes_left.wait(left, std::memory_order_acquire);
    }
  }
};

namespace {

// Whether a lane has something to do. Without any op a run still takes its turn on a lane: it is
// done after those that it names.
bool takes_part(const Schedule& schedule, Lane lane) {
  const bool empty = schedule.lanes_used() == 0;
  return empty ? lane == Lane::compute : !schedule.lanes[index_of(lane)].empty();
}

}  // namespace

CpuExecutor::CpuExecutor(CpuExecutorOptions options) : options_(std::move(options)) {}

CpuExecutor::~CpuExecutor() {
  for (const auto& run : runs_) run->wait();
}

CpuExecutor::Run& CpuExecutor::unused_run() {
  for (const auto& run : runs_) {
    if (run->ticket == 0 || !run->done()) continue;
    for (Run* before : run->after) --before->awaited;
    run->after.clear();
    run->ticket = 0;
  }
  const auto unused = std::find_if(runs_.begin(), runs_.end(), [](const auto& run) {
    return run->ticket == 0 && run->awaited == 0;
  });
  return unused != runs_.end() ? **unused : *runs_.emplace_back(std::make_unique<Run>());
}

Ticket CpuExecutor::submit(const BoundSchedule& bound, const RunOptions& options) {
  Run& run = unused_run();
  run.executor = this;
  run.bound = &bound;
  run.step = options.step;
  run.trace = options.trace;
  run.delays = delays_;
  for (const Ticket ticket : options.after) {
    if (Run* before = find(ticket)) {
      ++before->awaited;
      run.after.push_back(before);
    }
  }
  const Schedule& schedule = *bound.schedule;
  run.positions.resize(schedule.program.ops.size());
  for (const auto& lane : schedule.lanes) {
    for (size_t i = 0; i < lane.size(); ++i) {
      run.positions[static_cast<size_t>(lane[i])] = static_cast<int32_t>(i);
    }
  }
  for (auto& ended : run.ended) ended.store(0, std::memory_order_relaxed);
  run.lanes_left.store(std::max(1, schedule.lanes_used()), std::memory_order_release);
  run.ticket = ++last_;
  const Status started = start_lanes(schedule);
  if (!started.ok()) {  // nothing of it runs, and wait() tells
    fail(started.error());
    run.lanes_left.store(0, std::memory_order_release);
    return last_;
  }
  for (const Lane lane : kLanes) {
    if (!takes_part(schedule, lane)) continue;
    lanes_[index_of(lane)]->enqueue([&run, lane] { run.executor->run_lane(run, lane); });
  }
  return last_;
}

// All threads that a Schedule needs, before the first of them begins.
Status CpuExecutor::start_lanes(const Schedule& schedule) {
  for (const Lane lane : kLanes) {
    auto& thread = lanes_[index_of(lane)];
    if (thread != nullptr || !takes_part(schedule, lane)) continue;
    // A rank that is late for a collective delays all ranks, even where every core computes.
    const bool moves = lane == Lane::comm || lane == Lane::copy;
    thread =
        TRY(device::LaneThread::start(fmt::format("{}.{}", options_.name, name_of(lane)),
                                      moves ? device::Waking::at_once : device::Waking::fairly));
  }
  return {};
}

CpuExecutor::Run* CpuExecutor::find(Ticket ticket) const {
  const auto found = std::find_if(runs_.begin(), runs_.end(), [&](const auto& run) {
    return ticket != 0 && run->ticket == ticket;
  });
  return found == runs_.end() ? nullptr : found->get();
}

void CpuExecutor::run_lane(Run& run, Lane lane) {
  for (const Run* before : run.after) before->wait();
  const Schedule& schedule = *run.bound->schedule;
  std::mt19937_64 random(run.delays.seed ^ (0x9e3779b97f4a7c15u * (index_of(lane) + 1)));
  std::atomic<int32_t>& ended = run.ended[index_of(lane)];
  int32_t position = 0;
  for (const int32_t index : schedule.lanes[index_of(lane)]) {
    const auto i = static_cast<size_t>(index);
    for (const int32_t awaited : schedule.waits[i]) {
      const Op& op = schedule.program.ops[static_cast<size_t>(awaited)];
      const std::atomic<int32_t>& other = run.ended[index_of(op.lane)];
      const int32_t needed = run.positions[static_cast<size_t>(awaited)] + 1;
      for (int32_t now = other.load(std::memory_order_acquire); now < needed;
           now = other.load(std::memory_order_acquire)) {
        other.wait(now, std::memory_order_acquire);
      }
    }
    if (run.delays.longest > 0) {
      const auto bound = static_cast<uint64_t>(run.delays.longest) + 1;
      std::this_thread::sleep_for(std::chrono::microseconds(random() % bound));
    }
    run_op(run, index, lane);
    ended.store(++position, std::memory_order_release);
    ended.notify_all();
  }
  if (run.lanes_left.fetch_sub(1, std::memory_order_acq_rel) > 1) return;
  run.lanes_left.notify_all();
}

void CpuExecutor::run_op(const Run& run, int32_t op, Lane lane) {
  const FaultKind fault = options_.fault.hits(run.step, op) ? options_.fault.kind : FaultKind::none;
  if (fault == FaultKind::kill) std::raise(SIGKILL);
  if (fault == FaultKind::hang) hang();
  if (fault == FaultKind::skip) return;
  // What follows a failure would read what was never written, and meet others as a healthy rank.
  if (failed_.load(std::memory_order_acquire)) return;
  const int64_t start = run.trace == nullptr ? 0 : Trace::now_ns();
  try {
    if (fault == FaultKind::fail) throw std::runtime_error("asked for by a test");
    launch(*run.bound, static_cast<size_t>(op), run.step);
  } catch (const std::exception& thrown) {  // no memory, most likely
    fail(run, op, Error(ErrorKind::fault, "an op could not be run").with("reason", thrown.what()));
  }
  if (lane == Lane::comm && options_.collectives) {
    const Status met = options_.collectives();
    if (!met.ok()) fail(run, op, met.error());
  }
  if (run.trace != nullptr) run.trace->record(run.step, op, lane, start, Trace::now_ns());
}

void CpuExecutor::fail(const Run& run, int32_t op, const Error& why) {
  const Program& program = run.bound->schedule->program;
  const std::string described = program.describe(program.ops[static_cast<size_t>(op)]);
  fail(Error(why).with("op", fmt::format("{}: {}", op, described)).with("step", run.step));
}

void CpuExecutor::fail(const Error& why) {
  const std::lock_guard lock(failure_mutex_);
  if (!failure_.ok()) return;
  failed_.store(true, std::memory_order_release);
  failure_ = why;
}

// Waits until the executor gives up. Then the lane goes on, so that it can be joined.
void CpuExecutor::hang() const {
  while (!options_.collectives || options_.collectives().ok()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

bool CpuExecutor::done(Ticket ticket) const {
  const Run* run = find(ticket);
  return run == nullptr || run->done();
}

Status CpuExecutor::wait(Ticket ticket) {
  if (const Run* run = find(ticket)) run->wait();
  const std::lock_guard lock(failure_mutex_);
  return failure_;
}

}  // namespace braid::flow

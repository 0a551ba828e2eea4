#include "flow/cuda/issue.h"

#include <csignal>
#include <random>

#include "device/cuda/spin.h"
#include "device/cuda/stream_memory.h"

namespace braid::flow {
namespace {

class Issuer {
 public:
  Issuer(const BoundSchedule& bound, CudaLanes& lanes, const AwaitedEvents& events,
         const IssueOptions& options, const AfterOp& after_op)
      : bound_(bound),
        schedule_(*bound.schedule),
        lanes_(lanes),
        events_(events),
        options_(options),
        after_op_(after_op),
        overlaps_(has_neighbours(options)) {
    for (const Lane lane : kLanes) {
      random_[index_of(lane)].seed(options.delays.seed ^
                                   (0x9e3779b97f4a7c15u * (index_of(lane) + 1)));
    }
  }

  Status start() {
    const Lane origin = origin_of(schedule_);
    if (options_.capturing) CUDA_TRY(cudaEventRecord(lanes_.start.get(), lanes_.stream(origin)));
    for (const Lane lane : kLanes) {
      if (schedule_.lanes[index_of(lane)].empty()) continue;
      if (options_.capturing && lane != origin) {
        CUDA_TRY(cudaStreamWaitEvent(lanes_.stream(lane), lanes_.start.get()));
      }
      if (!options_.capturing) TRY(mark(lane, 0));
    }
    return {};
  }

  Status op(size_t index) {
    const Op& op = schedule_.program.ops[index];
    const cudaStream_t stream = lanes_.stream(op.lane);
    const auto name = static_cast<int32_t>(index);
    for (const int32_t awaited : schedule_.waits[index]) {
      CUDA_TRY(cudaStreamWaitEvent(stream, events_.at(awaited).get()));
    }
    pause(op.lane, stream);
    const bool hit = options_.fault.hits(options_.step, name);
    if (hit && options_.fault.kind == FaultKind::kill) std::raise(SIGKILL);
    if (hit && options_.fault.kind == FaultKind::hang) device::spin(stream, device::kSpinForever);
    if (options_.times != nullptr) TRY(stamp(options_.times->starts[index], stream));
    if (!hit || options_.fault.kind != FaultKind::skip) launch_op(index, op.lane);
    const Status launched = device::cuda_status(cudaGetLastError(), "kernel launch");
    if (!launched.ok()) return Error(launched.error()).with("op", schedule_.program.describe(op));
    if (options_.times != nullptr) TRY(stamp(options_.times->ends[index], stream));
    const auto event = events_.find(name);
    if (event != events_.end()) CUDA_TRY(cudaEventRecord(event->second.get(), stream));
    if (after_op_) TRY(after_op_(index));
    if (options_.capturing && op.lane != Lane::comm) return {};
    TRY(mark(op.lane, index + 1));
    return after_op_ ? after_op_(index) : Status();
  }

  Status join() {
    const Lane origin = origin_of(schedule_);
    for (const Lane lane : kLanes) {
      if (lane == origin || schedule_.lanes[index_of(lane)].empty()) continue;
      const cudaEvent_t end = lanes_.ends[index_of(lane)].get();
      CUDA_TRY(cudaEventRecord(end, lanes_.stream(lane)));
      CUDA_TRY(cudaStreamWaitEvent(lanes_.stream(origin), end));
    }
    return {};
  }

 private:
  // Whether a lane's kernels stand behind one another with nothing in between: where no op is
  // marked, timed, delayed or hit by a fault.
  static bool has_neighbours(const IssueOptions& options) {
    return options.capturing && options.times == nullptr && options.delays.longest == 0 &&
           options.fault.kind == FaultKind::none;
  }

  void launch_op(size_t index, Lane lane) {
    device::CudaQueue& queue = *lanes_.queues[index_of(lane)];
    const Succession& succession = schedule_.successions[index];
    if (overlaps_) queue.set_next_kernel({succession.follows, succession.constant_weights});
    launch(bound_, index, options_.step, &queue);
    queue.set_next_kernel({});
  }

  Status mark(Lane lane, size_t done) {
    const device::WordOp write{.word = lanes_.progress + index_of(lane),
                               .value = static_cast<uint32_t>(done)};
    return device::word_ops(lanes_.stream(lane), {&write, 1});
  }

  Status stamp(const device::CudaEvent& event, cudaStream_t stream) {
    CUDA_TRY(cudaEventRecordWithFlags(
        event.get(), stream,
        options_.capturing ? cudaEventRecordExternal : cudaEventRecordDefault));
    return {};
  }

  void pause(Lane lane, cudaStream_t stream) {
    if (options_.delays.longest == 0) return;
    const auto bound = static_cast<uint64_t>(options_.delays.longest) + 1;
    device::spin(stream, static_cast<int64_t>(random_[index_of(lane)]() % bound) * 1000);
  }

  const BoundSchedule& bound_;
  const Schedule& schedule_;
  CudaLanes& lanes_;
  const AwaitedEvents& events_;
  const IssueOptions& options_;
  const AfterOp& after_op_;
  const bool overlaps_;
  std::array<std::mt19937_64, kNumLanes> random_;
};

}  // namespace

Result<OpTimes> OpTimes::create(size_t ops) {
  OpTimes times;
  for (size_t i = 0; i < ops; ++i) {
    times.starts.push_back(TRY(device::CudaEvent::create(/*timed=*/true)));
    times.ends.push_back(TRY(device::CudaEvent::create(/*timed=*/true)));
  }
  return times;
}

Result<AwaitedEvents> awaited_events(const Schedule& schedule) {
  AwaitedEvents events;
  for (const Waits& waits : schedule.waits) {
    for (const int32_t awaited : waits) {
      if (!events.contains(awaited)) events.emplace(awaited, TRY(device::CudaEvent::create()));
    }
  }
  return events;
}

Lane origin_of(const Schedule& schedule) {
  for (const Lane lane : kLanes) {
    if (!schedule.lanes[index_of(lane)].empty()) return lane;
  }
  return Lane::compute;
}

Status issue(const BoundSchedule& bound, CudaLanes& lanes, const AwaitedEvents& events,
             const IssueOptions& options, const AfterOp& after_op) {
  Issuer issuer(bound, lanes, events, options, after_op);
  TRY(issuer.start());
  for (size_t i = 0; i < bound.ops.size(); ++i) TRY(issuer.op(i));
  return issuer.join();
}

}  // namespace braid::flow

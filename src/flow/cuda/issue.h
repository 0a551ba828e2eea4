// Issue: puts the ops of a bound Schedule on the lanes' streams in program order, with its waits as
// events. The same code runs eagerly and under capture.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "device/cuda/cuda_event.h"
#include "device/cuda/cuda_queue.h"
#include "flow/delays.h"
#include "flow/executor.h"
#include "flow/fault.h"

namespace braid::flow {

// The lanes' queues of one GPU, and per lane a word in host memory that tells how far the lane has
// come: 1 + the index of the last op that is known to have ended, 0 at a run's start.
struct CudaLanes {
  std::array<std::unique_ptr<device::CudaQueue>, kNumLanes> queues;
  std::array<device::CudaEvent, kNumLanes> ends;  // where a run leaves the lane
  device::CudaEvent start;                        // where a captured run begins
  uint32_t* progress = nullptr;                   // [kNumLanes], pinned

  cudaStream_t stream(Lane lane) const { return queues[index_of(lane)]->stream(); }
};

// Time stamps of each op of one run.
struct OpTimes {
  std::vector<device::CudaEvent> starts, ends;
  static Result<OpTimes> create(size_t ops);
};

// Events of a Schedule: one for each op that another lane waits for.
using AwaitedEvents = std::unordered_map<int32_t, device::CudaEvent>;
Result<AwaitedEvents> awaited_events(const Schedule& schedule);

struct IssueOptions {
  int64_t step = 0;
  bool capturing = false;  // progress is then marked at collectives alone
  OpTimes* times = nullptr;
  Delays delays;
  Fault fault;
};

// The first lane with ops; the one that a run is joined on.
Lane origin_of(const Schedule& schedule);

// Called behind each op where others may wait for it, and again behind its mark: a graph's capture
// looks there at the node that its lane ends in.
using AfterOp = std::function<Status(size_t op)>;

// Everything from the lanes' first op to the join on origin_of(schedule).
Status issue(const BoundSchedule& bound, CudaLanes& lanes, const AwaitedEvents& events,
             const IssueOptions& options, const AfterOp& after_op = nullptr);

}  // namespace braid::flow

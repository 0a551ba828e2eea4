// Runs Schedules on one GPU: every lane is a stream, waits are events. A Schedule runs eagerly, or
// as a graph once it has been captured.
#pragma once

#include <map>

#include "flow/cuda/cuda_graph.h"

namespace braid::flow {

struct CudaExecutorOptions {
  double step_timeout = 30;  // seconds a run may take before wait() calls it lost
  Delays delays;
  Fault fault;
  // Asked now and then while a run is waited for: an error (another rank is lost) ends the waiting.
  std::function<Status()> interrupted;
};

class CudaExecutor final : public Executor {
 public:
  // On the thread's current GPU.
  static Result<std::unique_ptr<CudaExecutor>> create(const CudaExecutorOptions& options = {});
  ~CudaExecutor() override;

  // Replays the graph of `bound` if it was captured (and, for a traced run, captured with time
  // stamps), else issues its ops one by one. What fails here is told by wait().
  Ticket submit(const BoundSchedule& bound, const RunOptions& options) override;
  bool done(Ticket ticket) const override;
  // `fault` with the lanes' unfinished ops when the run outlasts the step timeout.
  Status wait(Ticket ticket) override;

  // Runs one op alone on its lane, behind all runs that have been waited for, and waits for it.
  Status run_op(const BoundSchedule& bound, size_t op, int64_t step);

  // Captures `bound` for even and for odd steps; later runs replay. `timed`: for traced runs. Every
  // rank captures in the same order, before the first step. Call release() before `bound` ends.
  Result<GraphSummary> capture(const BoundSchedule& bound, bool timed = false);
  void release(const BoundSchedule& bound);

  void set_delays(Delays delays) { options_.delays = delays; }
  void set_fault(Fault fault) { options_.fault = fault; }
  device::CudaQueue& queue(Lane lane) { return *lanes_.queues[index_of(lane)]; }

 private:
  struct Run {
    device::CudaEvent done;
    int64_t step = 0;
    const Schedule* schedule = nullptr;
    Trace* trace = nullptr;
    std::shared_ptr<OpTimes> times;
  };
  struct Captured {
    std::unique_ptr<CudaGraph> graph;
    std::shared_ptr<OpTimes> times;  // null: not timed
  };
  // Graphs of one Schedule: [timed][parity].
  using Graphs = std::array<std::array<Captured, 2>, 2>;

  explicit CudaExecutor(const CudaExecutorOptions& options) : options_(options) {}
  Status set_base();
  Status start(const BoundSchedule& bound, const RunOptions& options, Run& run);
  Status finish(Run& run);
  // What is unfinished in a run that will not end, and why it won't.
  Error lost(const Run& run, Error why) const;
  Status await(const Run& run);
  Result<device::CudaEvent> take_event();

  CudaExecutorOptions options_;
  CudaLanes lanes_;
  Ticket last_ = 0;
  std::map<Ticket, Run> running_;
  std::vector<device::CudaEvent> free_events_;
  std::map<const BoundSchedule*, Graphs> graphs_;
  std::map<const BoundSchedule*, AwaitedEvents> events_;
  device::CudaEvent base_;  // a moment on the GPU, and when that was on the host
  int64_t base_ns_ = 0;
  Status failed_;  // what submit() met with; told by the next wait()
};

}  // namespace braid::flow

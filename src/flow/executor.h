// Executors run Schedules. A run is named by a Ticket. To use its results, wait for the Ticket.
#pragma once

#include <memory>
#include <span>

#include "flow/launcher.h"
#include "flow/residents.h"
#include "flow/schedule.h"

namespace braid::flow {

class Trace;

// A Schedule with everything resolved for one rank: launchers, addresses, for even and odd steps.
struct BoundOp {
  const Launcher* launcher = nullptr;
  std::array<InlineVector<Arg, kMaxOperands>, 2> args;  // [step parity]
  Workspace workspace;
};

struct BoundSchedule {
  const Schedule* schedule = nullptr;  // must outlive this
  std::vector<BoundOp> ops;
};

// Resolves every op of `schedule`. `arena` holds at least schedule.workspace_bytes. Fails with
// `unsupported` when the table has no kernel for an op, `internal` when a resident isn't allocated.
Result<BoundSchedule> bind(const Schedule& schedule, const LauncherTable& table,
                           const Residents& residents, std::byte* arena);

// Launches op `index` on `queue`, or runs it on the calling thread where there is none.
void launch(const BoundSchedule& bound, size_t index, int64_t step, device::Queue* queue = nullptr);

// Runs a bound Schedule op by op, in program order, on the calling thread: the truth that every
// other execution is compared with.
void run_serial(const BoundSchedule& bound, int64_t step);

// Names one run of a Schedule; tickets count up. 0 names no run and is done.
using Ticket = int64_t;

struct RunOptions {
  int64_t step = 0;               // even and odd steps use the two copies of buffers in turn
  std::span<const Ticket> after;  // runs that must be done before this one starts
  bool replays = true;            // as a graph, where one was captured
  Trace* trace = nullptr;         // records every op's start and end; must outlive the run
};

class Executor {
 public:
  virtual ~Executor() = default;
  // Starts a run and returns at once. `bound` must live until the run is done.
  virtual Ticket submit(const BoundSchedule& bound, const RunOptions& options) = 0;
  virtual bool done(Ticket ticket) const = 0;
  // Waits for its end. `fault` when it cannot end: a lost rank, a hung kernel, a failed device.
  virtual Status wait(Ticket ticket) = 0;
};

}  // namespace braid::flow

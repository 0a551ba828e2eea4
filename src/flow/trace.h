// Trace: when each op of each run started and ended. Written as Perfetto JSON (ui.perfetto.dev or
// chrome://tracing) and summed into a table per module; timeline.h tells what else is read off it.
#pragma once

#include <map>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "flow/timeline.h"

namespace braid::flow {

class Trace {
 public:
  explicit Trace(int32_t rank = 0) : rank_(rank) {}

  // Monotonic nanoseconds.
  static int64_t now_ns();

  // Declares that `step` runs `schedule` (which must outlive the trace) and what it is, for
  // example "decode 4, prefill 0".
  void begin_step(int64_t step, const Schedule& schedule, std::string label);

  // Thread-safe.
  void record(int64_t step, int32_t op, Lane lane, int64_t start_ns, int64_t end_ns);

  // Nanoseconds of a step in which an op of `a` and an op of `b` ran at once.
  int64_t overlap_ns(int64_t step, Lane a, Lane b) const;

  // All of it so far, in order.
  Timeline timeline() const;

  // to_perfetto of this rank alone.
  std::string to_perfetto() const;

 private:
  const int32_t rank_;
  mutable std::mutex mutex_;
  std::map<int64_t, TimelineStep> steps_;  // guarded by mutex_
  std::vector<TimelineEvent> events_;      // guarded by mutex_, in the order of their ends
};

// A JSON object whose events are complete, times in microseconds, one process a rank, one track a
// lane; arrows lead from the last member of every collective of `groups` to the others.
std::string to_perfetto(std::span<const Timeline> ranks,
                        std::span<const CommunicatorGroup> groups = {});

// Per module (role of the scope), all ranks together: ops, milliseconds, share, GFLOP/s, GB/s.
std::string module_table(std::span<const Timeline> ranks);

}  // namespace braid::flow

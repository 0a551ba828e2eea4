// Runs Schedules on the CPU: every lane is a thread that takes its ops in order and waits for ops
// of other lanes exactly where the Schedule says so.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <random>
#include <vector>

#include "device/cpu/lane_thread.h"
#include "flow/delays.h"
#include "flow/executor.h"
#include "flow/fault.h"

namespace braid::flow {

struct CpuExecutorOptions {
  std::string name = "rank0";  // prefix of the threads' names
  Fault fault;
  // The state of the rank's collectives: an error ends an op that a fault lets hang, and is what
  // wait() tells, with the op that met with it.
  std::function<Status()> collectives;
};

class CpuExecutor final : public Executor {
 public:
  explicit CpuExecutor(CpuExecutorOptions options = {});
  ~CpuExecutor() override;

  Ticket submit(const BoundSchedule& bound, const RunOptions& options) override;
  bool done(Ticket ticket) const override;
  // `fault` when an op has failed, in this run or an earlier one: none has run since.
  Status wait(Ticket ticket) override;

  void set_delays(Delays delays) { delays_ = delays; }

 private:
  struct Run;
  Run* find(Ticket ticket) const;
  Run& unused_run();
  Status start_lanes(const Schedule& schedule);
  void run_lane(Run& run, Lane lane);
  void run_op(const Run& run, int32_t op, Lane lane);
  void hang() const;
  void fail(const Run& run, int32_t op, const Error& why);
  void fail(const Error& why);

  CpuExecutorOptions options_;
  std::mutex failure_mutex_;
  Status failure_;  // the first one
  std::atomic<bool> failed_ = false;
  Delays delays_;
  Ticket last_ = 0;
  std::vector<std::unique_ptr<Run>> runs_;  // used in turn, so that a step allocates nothing
  std::array<std::unique_ptr<device::LaneThread>, kNumLanes> lanes_;  // started on first use
};

}  // namespace braid::flow

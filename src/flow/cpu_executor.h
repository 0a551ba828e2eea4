// Runs Schedules on the CPU: every lane is a thread that takes its ops in order and waits for ops
// of other lanes exactly where the Schedule says so.
#pragma once

#include <atomic>
#include <map>
#include <random>

#include "device/cpu/lane_thread.h"
#include "flow/delays.h"
#include "flow/executor.h"

namespace braid::flow {

class CpuExecutor final : public Executor {
 public:
  // `name` prefixes the threads' names.
  explicit CpuExecutor(std::string name = "rank0");
  ~CpuExecutor() override;

  Ticket submit(const BoundSchedule& bound, const RunOptions& options) override;
  bool done(Ticket ticket) const override;
  Status wait(Ticket ticket) override;

  void set_delays(Delays delays) { delays_ = delays; }

 private:
  struct Run;
  std::shared_ptr<Run> find(Ticket ticket) const;
  static void run_lane(Run& run, Lane lane);

  std::string name_;
  Delays delays_;
  Ticket last_ = 0;
  std::map<Ticket, std::shared_ptr<Run>> running_;  // runs that may not be done yet
  std::array<std::unique_ptr<device::LaneThread>, kNumLanes> lanes_;  // started on first use
};

}  // namespace braid::flow

// What all ranks ran, as rank 0 sees it: it fetches their times, and knows their Schedules, since
// every rank compiles the same steps alike.
#pragma once

#include "flow/timeline.h"
#include "ranks/rank_compiler.h"
#include "ranks/ranks.h"

namespace braid::start {

// How far another clock is ahead of this one, from readings of it between two of this one.
class ClockBounds {
 public:
  void add(int64_t before_ns, int64_t there_ns, int64_t after_ns);
  // 0 where that is possible: then it is the same clock, as processes of one host have it.
  int64_t offset_ns() const;
  // Half of what is possible; 0 where the offset is.
  int64_t error_ns() const;

 private:
  int64_t least_ = INT64_MIN / 2;
  int64_t most_ = INT64_MAX / 2;
};

class RankTraces {
 public:
  // Whether ranks record the steps that come, besides what they have recorded.
  static Status record(ranks::Ranks& ranks, bool on);

  // All that ranks with these options recorded so far. Schedules of ranks in this process are those
  // of their Workers, which must outlive this. `internal` where another rank ran something else
  // than its options say.
  static Result<RankTraces> collect(ranks::Ranks& ranks, const ranks::WorkerOptions& options);

  // One a rank, in their order, on the clock of rank 0.
  const std::vector<flow::Timeline>& timelines() const { return timelines_; }
  // How well ranks of other hosts are aligned; 0 where all have one clock.
  int64_t clock_error_ns() const { return clock_error_ns_; }

 private:
  Status add(ranks::Ranks& ranks, const ranks::WorkerOptions& options, int32_t rank,
             std::string_view message, int64_t offset_ns);

  std::vector<std::unique_ptr<ranks::RankCompiler>> compilers_;  // of ranks in other processes
  std::vector<std::unique_ptr<steps::CompiledStep>> steps_;      // likewise
  std::vector<flow::Timeline> timelines_;
  int64_t clock_error_ns_ = 0;
};

}  // namespace braid::start

// Timeline: what one rank ran, as plain data, and what can be read off it: which lanes ran at once,
// which communication was hidden behind computation, which rank waited for which. Pure functions.
//
// Times are nanoseconds of Trace::now_ns(), the machine's monotonic clock, which threads and
// processes of one machine share.
#pragma once

#include <array>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "flow/check/check.h"
#include "flow/schedule.h"

namespace braid::flow {

struct TimelineEvent {
  int64_t step = 0;
  int32_t op = 0;  // index in the step's Program
  Lane lane = Lane::compute;
  int64_t start_ns = 0;
  int64_t end_ns = 0;
};

struct TimelineStep {
  const Schedule* schedule = nullptr;
  std::string label;  // "decode 4, prefill 0"
};

struct Timeline {
  int32_t rank = 0;
  std::map<int64_t, TimelineStep> steps;  // by number
  std::vector<TimelineEvent> events;      // by start

  const Program& program_of(const TimelineEvent& event) const {
    return steps.at(event.step).schedule->program;
  }
  const Op& op_of(const TimelineEvent& event) const {
    return program_of(event).ops[static_cast<size_t>(event.op)];
  }
};

// A stretch of time in which the same events run, at most one a lane: lanes run in order.
struct Moment {
  int64_t start_ns = 0;
  int64_t end_ns = 0;
  std::array<int32_t, kNumLanes> running = {-1, -1, -1, -1};  // index of the event, by lane

  int64_t ns() const { return end_ns - start_ns; }
  int32_t on(Lane lane) const { return running[index_of(lane)]; }
  bool computes() const { return on(Lane::compute) >= 0 || on(Lane::aux) >= 0; }
  // Communication that no computation of this rank hides.
  bool exposed() const { return on(Lane::comm) >= 0 && !computes(); }
  bool hidden() const { return on(Lane::comm) >= 0 && computes(); }
};

// [from_ns, to_ns) cut where an event starts or ends, in order and without gaps. Events of one
// rank; where two of one lane overlap, the one that started later counts.
std::vector<Moment> moments(std::span<const TimelineEvent> events, int64_t from_ns, int64_t to_ns);

// The neighbouring moments of exposed communication, joined: [start, end) each.
using Interval = std::array<int64_t, 2>;
std::vector<Interval> exposed_intervals(std::span<const Moment> moments);

// How the time of some moments was spent, in nanoseconds. Every moment counts once.
struct Occupancy {
  int64_t computing = 0;  // on compute or aux, and nothing on comm
  int64_t hidden = 0;     // communication beside computation
  int64_t exposed = 0;    // communication alone
  int64_t copying = 0;    // nothing but lane copy
  int64_t idle = 0;

  int64_t busy() const { return computing + hidden; }
  int64_t communication() const { return hidden + exposed; }
  int64_t wall() const { return busy() + exposed + copying + idle; }
  Occupancy& operator+=(const Occupancy& other);
  bool operator==(const Occupancy&) const = default;
};
Occupancy occupancy(std::span<const Moment> moments);

// One collective of one step, as all its members ran it.
struct Meeting {
  struct Member {
    size_t timeline = 0;  // index of its Timeline, and
    size_t event = 0;     // of its event there
  };
  std::vector<Member> members;
  size_t last = 0;            // the member that came last,
  int64_t last_start_ns = 0;  // and when: until then the others waited
};

// The n-th collectives of a communicator in a step are one, as every rank issues them in one order.
// `groups` as in check_joint, of the timelines' ranks. A collective that a member didn't run is
// left out.
std::vector<Meeting> meetings(std::span<const Timeline> timelines,
                              std::span<const CommunicatorGroup> groups);

}  // namespace braid::flow

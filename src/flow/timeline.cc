#include "flow/timeline.h"

#include <algorithm>
#include <tuple>

namespace braid::flow {
namespace {

// An event starts or ends.
struct Edge {
  int64_t ns;
  bool starts;  // at one time ends come first
  int32_t event;

  auto operator<=>(const Edge&) const = default;
};

std::vector<Edge> edges_of(std::span<const TimelineEvent> events, int64_t from_ns, int64_t to_ns) {
  std::vector<Edge> edges;
  for (size_t i = 0; i < events.size(); ++i) {
    const int64_t start = std::max(events[i].start_ns, from_ns);
    const int64_t end = std::min(events[i].end_ns, to_ns);
    if (start >= end) continue;
    edges.push_back({start, true, static_cast<int32_t>(i)});
    edges.push_back({end, false, static_cast<int32_t>(i)});
  }
  std::sort(edges.begin(), edges.end());
  return edges;
}

// One member's collective: which of a group's meetings it is part of.
struct Key {
  size_t group;
  int64_t step;
  int64_t turn;  // 0 for the first of its communicator in this step

  auto operator<=>(const Key&) const = default;
};

using Found = std::map<Key, std::vector<Meeting::Member>>;

void add_collectives(std::span<const Timeline> timelines, size_t index,
                     std::span<const CommunicatorGroup> groups, Found& found) {
  const Timeline& timeline = timelines[index];
  std::map<std::pair<int64_t, int32_t>, int64_t> turns;  // by step and communicator
  for (size_t event = 0; event < timeline.events.size(); ++event) {
    const TimelineEvent& ran = timeline.events[event];
    const auto collective = timeline.program_of(ran).collective_of(timeline.op_of(ran));
    if (!collective) continue;
    const int64_t turn = turns[{ran.step, collective->communicator}]++;
    for (size_t group = 0; group < groups.size(); ++group) {
      const std::vector<int32_t>& ranks = groups[group].ranks;
      const bool member = std::find(ranks.begin(), ranks.end(), timeline.rank) != ranks.end();
      if (groups[group].communicator != collective->communicator || !member) continue;
      found[{group, ran.step, turn}].push_back({index, event});
    }
  }
}

}  // namespace

std::vector<Moment> moments(std::span<const TimelineEvent> events, int64_t from_ns, int64_t to_ns) {
  std::vector<Moment> found;
  Moment now{.start_ns = from_ns};
  const auto advance = [&](int64_t to) {
    if (to <= now.start_ns) return;
    now.end_ns = to;
    found.push_back(now);
    now.start_ns = to;
  };
  for (const Edge& edge : edges_of(events, from_ns, to_ns)) {
    advance(edge.ns);
    int32_t& running = now.running[index_of(events[static_cast<size_t>(edge.event)].lane)];
    if (edge.starts) {
      running = edge.event;
    } else if (running == edge.event) {
      running = -1;
    }
  }
  advance(to_ns);
  return found;
}

std::vector<Interval> exposed_intervals(std::span<const Moment> moments) {
  std::vector<Interval> intervals;
  for (const Moment& moment : moments) {
    if (!moment.exposed()) continue;
    if (!intervals.empty() && intervals.back()[1] == moment.start_ns) {
      intervals.back()[1] = moment.end_ns;
    } else {
      intervals.push_back({moment.start_ns, moment.end_ns});
    }
  }
  return intervals;
}

Occupancy& Occupancy::operator+=(const Occupancy& other) {
  computing += other.computing;
  hidden += other.hidden;
  exposed += other.exposed;
  copying += other.copying;
  idle += other.idle;
  return *this;
}

Occupancy occupancy(std::span<const Moment> moments) {
  Occupancy sum;
  for (const Moment& moment : moments) {
    int64_t& part = moment.hidden()              ? sum.hidden
                    : moment.exposed()           ? sum.exposed
                    : moment.computes()          ? sum.computing
                    : moment.on(Lane::copy) >= 0 ? sum.copying
                                                 : sum.idle;
    part += moment.ns();
  }
  return sum;
}

std::vector<Meeting> meetings(std::span<const Timeline> timelines,
                              std::span<const CommunicatorGroup> groups) {
  Found found;
  for (size_t index = 0; index < timelines.size(); ++index) {
    add_collectives(timelines, index, groups, found);
  }
  std::vector<Meeting> all;
  for (auto& [key, members] : found) {
    if (members.size() != groups[key.group].ranks.size()) continue;
    Meeting meeting{.members = std::move(members)};
    for (size_t i = 0; i < meeting.members.size(); ++i) {
      const auto [timeline, event] = meeting.members[i];
      const int64_t start = timelines[timeline].events[event].start_ns;
      if (i > 0 && start <= meeting.last_start_ns) continue;
      meeting.last = i;
      meeting.last_start_ns = start;
    }
    all.push_back(std::move(meeting));
  }
  return all;
}

}  // namespace braid::flow

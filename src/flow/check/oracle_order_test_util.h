// For tests: in which order the ops of all launches of all ranks start and end, by definition
// alone: Boolean reachability, slowly. Shares no code with the compiler and none with the checker.
#pragma once

#include <bitset>
#include <map>

#include "flow/check/check.h"

namespace braid::flow::testing {

using Reach = std::vector<std::bitset<1024>>;  // reach[a][b]: a comes before b

// Adds what follows by way of others. Whether nothing comes before itself.
inline bool close(Reach& reach) {
  BRAID_CHECK(reach.size() <= 1024, "({} nodes)", reach.size());
  bool acyclic = true;
  for (size_t via = 0; via < reach.size(); ++via) {
    for (auto& from : reach) {
      if (from[via]) from |= reach[via];
    }
  }
  for (size_t i = 0; i < reach.size(); ++i) acyclic &= !reach[i][i];
  return acyclic;
}

// Ops are numbered rank by rank, launch by launch. Op i starts at node 2i and ends at node 2i + 1.
struct Order {
  struct Run {
    size_t rank;
    int32_t launch;
    std::optional<Collective> collective;
    std::vector<size_t> members;  // this op and those that it meets on other ranks
  };
  std::vector<Run> ops;
  Reach reach;
  bool ranks_agree = true;  // they issue equal sequences of collectives
  bool acyclic = false;

  explicit Order(const std::vector<std::vector<Launch>>& ranks) {
    std::map<std::pair<int32_t, size_t>, std::vector<size_t>> meetings;  // {communicator, which}
    for (size_t rank = 0; rank < ranks.size(); ++rank) {
      std::array<std::vector<size_t>, kNumLanes> lanes;  // ops in issue order
      int32_t launches = 0;
      for (const Launch& launch : ranks[rank]) add(launch, rank, launches++, lanes);
      std::map<int32_t, size_t> issued;  // collectives per communicator
      for (const size_t op : lanes[index_of(Lane::comm)]) {
        if (!ops[op].collective) continue;
        const int32_t communicator = ops[op].collective->communicator;
        meetings[{communicator, issued[communicator]++}].push_back(op);
      }
    }
    for (const auto& [which, meeting] : meetings) {
      const Collective& first = *ops[meeting[0]].collective;
      ranks_agree &= meeting.size() == ranks.size();
      for (const size_t op : meeting) {
        const Collective& other = *ops[op].collective;
        ranks_agree &= first.signature == other.signature && first.barrier == other.barrier;
        ops[op].members = meeting;
      }
    }
    for (size_t op = 0; op < ops.size(); ++op) {
      for (const size_t member : ops[op].members) reach[2 * member][2 * op + 1] = true;
    }
    acyclic = close(reach);
  }

  void add(const Launch& launch, size_t rank, int32_t index,
           std::array<std::vector<size_t>, kNumLanes>& lanes) {
    const Schedule& schedule = *launch.schedule;
    const size_t first = ops.size();
    const auto ends_before = [&](size_t a, size_t b) { reach[2 * a + 1][2 * b] = true; };
    reach.resize(2 * (first + schedule.program.ops.size()));
    for (const Op& op : schedule.program.ops) {
      const auto collective = op.kind().collective;
      ops.push_back({rank, index, {}, {ops.size()}});
      if (collective != nullptr) ops.back().collective = collective(op.desc.data(), {});
    }
    for (size_t lane = 0; lane < kNumLanes; ++lane) {
      for (const int32_t op : schedule.lanes[lane]) {
        if (!lanes[lane].empty()) ends_before(lanes[lane].back(), first + op);
        lanes[lane].push_back(first + op);
      }
    }
    for (size_t op = first; op < ops.size(); ++op) {
      for (const int32_t wait : schedule.waits[op - first]) ends_before(first + wait, op);
      for (size_t other = 0; other < first; ++other) {
        const bool named = std::ranges::count(launch.after, ops[other].launch) > 0;
        if (ops[other].rank == rank && named) ends_before(other, op);
      }
    }
  }
};

}  // namespace braid::flow::testing

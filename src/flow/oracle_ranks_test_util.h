// For tests: the oracle's truth about several ranks and several launches, by definition alone.
#pragma once

#include <map>

#include "flow/check.h"
#include "flow/oracle_test_util.h"

namespace braid::flow::testing {

// All launches of all ranks. Op i starts at node 2i and ends at node 2i + 1.
struct RanksOracle {
  using Meeting = std::vector<size_t>;

  std::vector<size_t> rank_of, launch_of;  // per op
  std::vector<const AnyDesc*> descs;
  std::vector<Touch> touches;
  std::vector<Meeting> meetings;
  bool sequences_agree = true;
  Reach reach;

  explicit RanksOracle(const std::vector<std::vector<Launch>>& ranks) {
    for (size_t rank = 0; rank < ranks.size(); ++rank) {
      std::array<std::vector<size_t>, kNumLanes> lanes;
      for (size_t launch = 0; launch < ranks[rank].size(); ++launch) {
        add(ranks[rank][launch], rank, launch, lanes);
      }
      for (const auto& lane : lanes) {
        for (size_t i = 1; i < lane.size(); ++i) ends_before(lane[i - 1], lane[i]);
      }
      for (const size_t op : lanes[index_of(Lane::comm)]) {
        if (descs[op]->kind().collective == nullptr) continue;
        auto& of_ranks = issued_[collective(op).communicator];
        of_ranks.resize(ranks.size());
        of_ranks[rank].push_back(op);
      }
    }
    for (const auto& [communicator, of_ranks] : issued_) meet(of_ranks);
    for (const Meeting& meeting : meetings) {
      for (const size_t a : meeting) {
        for (const size_t b : meeting) reach[2 * a][2 * b + 1] = true;
      }
    }
    close(reach);
  }

  // Memory that a rank other than its owner touches is ordered; collectives agree; no circle.
  bool right() const {
    std::set<std::pair<int64_t, int64_t>> shared;
    for (const Touch& touch : touches) {
      const auto rank = static_cast<int64_t>(rank_of[touch.op]);
      if (touch.memory[1] >= 0 && touch.memory[1] != rank) {
        shared.insert({touch.memory[0], touch.memory[1]});
      }
    }
    for (const Touch& a : touches) {
      for (const Touch& b : touches) {
        if (a.op >= b.op || !clash(a, b) || !shared.contains({a.memory[0], a.memory[1]})) continue;
        if (members_of(a.op) == members_of(b.op)) continue;
        if (!before(a.op, b.op) && !before(b.op, a.op)) return false;
      }
    }
    return sequences_agree && acyclic(reach);
  }

 private:
  Collective collective(size_t op) const {
    return *descs[op]->kind().collective(descs[op]->data(), {});
  }
  void ends_before(size_t a, size_t b) { reach[2 * a + 1][2 * b] = true; }

  void add(const Launch& launch, size_t rank, size_t index,
           std::array<std::vector<size_t>, kNumLanes>& lanes) {
    const Schedule& schedule = *launch.schedule;
    const size_t first = descs.size();
    for (const Op& op : schedule.program.ops) {
      rank_of.push_back(rank);
      launch_of.push_back(index);
      descs.push_back(&op.desc);
      reach.resize(2 * descs.size());
      reach[2 * descs.size() - 2][2 * descs.size() - 1] = true;
    }
    for (Touch touch : touches_of(schedule, static_cast<int64_t>(rank), launch.step)) {
      touch.op += first;
      touches.push_back(touch);
    }
    for (size_t lane = 0; lane < kNumLanes; ++lane) {
      for (const int32_t op : schedule.lanes[lane]) {
        lanes[lane].push_back(first + static_cast<size_t>(op));
      }
    }
    for (size_t op = first; op < descs.size(); ++op) {
      for (const int32_t wait : schedule.waits[op - first]) {
        ends_before(first + static_cast<size_t>(wait), op);
      }
      for (size_t other = 0; other < first; ++other) {
        const auto named = [&](int32_t l) { return static_cast<size_t>(l) == launch_of[other]; };
        if (rank_of[other] == rank &&
            std::any_of(launch.after.begin(), launch.after.end(), named)) {
          ends_before(other, op);
        }
      }
    }
  }

  void meet(const std::vector<std::vector<size_t>>& of_ranks) {
    const auto same = [&](size_t a, size_t b) {
      return collective(a).signature == collective(b).signature &&
             collective(a).barrier == collective(b).barrier;
    };
    for (const auto& sequence : of_ranks) {
      sequences_agree = sequences_agree && std::equal(sequence.begin(), sequence.end(),
                                                      of_ranks[0].begin(), of_ranks[0].end(), same);
    }
    for (size_t k = 0; sequences_agree && k < of_ranks[0].size(); ++k) {
      meetings.emplace_back();
      for (const auto& sequence : of_ranks) meetings.back().push_back(sequence[k]);
    }
  }

  Meeting members_of(size_t op) const {
    for (const Meeting& meeting : meetings) {
      if (std::count(meeting.begin(), meeting.end(), op) > 0) return meeting;
    }
    return {op};
  }

  // a has ended when b touches memory. A collective does so when all its members have started; a
  // barrier ends nowhere before all its members have done with memory.
  bool before(size_t a, size_t b) const {
    const bool barrier = descs[a]->kind().collective != nullptr && collective(a).barrier;
    for (const size_t end : barrier ? members_of(a) : Meeting{a}) {
      for (const size_t start : members_of(b)) {
        if (reach[2 * end + 1][2 * start]) return true;
      }
    }
    return false;
  }

  std::map<int32_t, std::vector<std::vector<size_t>>> issued_;  // communicator → rank → ops
};

inline bool ranks_are_right(const std::vector<std::vector<Launch>>& ranks) {
  return RanksOracle(ranks).right();
}

// The launches of one rank: what they name orders what they share.
inline bool launches_are_right(const std::vector<Launch>& launches) {
  const RanksOracle all({launches});
  Reach known(launches.size());  // known[a][b]: b is done when a starts
  for (size_t i = 0; i < launches.size(); ++i) {
    for (const int32_t named : launches[i].after) known[i][static_cast<size_t>(named)] = true;
  }
  close(known);
  for (size_t later = 0; later < launches.size(); ++later) {
    for (size_t earlier = 0; earlier < later; ++earlier) {
      bool share = launches[earlier].schedule->workspace_bytes > 0 &&
                   launches[later].schedule->workspace_bytes > 0;
      for (const Touch& a : all.touches) {
        for (const Touch& b : all.touches) {
          share = share || (all.launch_of[a.op] == earlier && all.launch_of[b.op] == later &&
                            a.memory[0] >= 0 && clash(a, b));
        }
      }
      if (share && !known[later][earlier]) return false;
    }
  }
  return true;
}

}  // namespace braid::flow::testing

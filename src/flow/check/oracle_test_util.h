// For tests: whether Schedules, launches and ranks are right, by definition alone: every pair of
// accesses against the order of all ops. Shares no code with the compiler and none with the
// checker.
#pragma once

#include "flow/check/oracle_order_test_util.h"
#include "flow/check/oracle_touches_test_util.h"

namespace braid::flow::testing {

// a has ended when b touches memory. A collective does so when all its members have started; a
// barrier ends nowhere before all its members have done with memory.
inline bool before(const Order& order, size_t a, size_t b) {
  const auto& of_a = order.ops[a];
  const bool barrier = of_a.collective && of_a.collective->barrier;
  for (const size_t end : barrier ? of_a.members : std::vector{a}) {
    for (const size_t start : order.ops[b].members) {
      if (order.reach[2 * end + 1][2 * start]) return true;
    }
  }
  return false;
}

// A Schedule alone: what clashes is ordered as in the Program, and step buffers keep their
// contents.
inline bool schedule_is_right(const Schedule& schedule) {
  const Order order({{Launch{&schedule, 0, {}}}});
  const std::vector<Touch> touches = touches_of(schedule, 0, 0);
  for (const Touch& a : touches) {
    for (const Touch& b : touches) {
      if (!clash(a, b) || a.op > b.op) continue;
      if (a.op == b.op ? a.buffer != b.buffer : !before(order, a.op, b.op)) return false;
    }
  }
  return order.acyclic && contents_are_right(schedule, touches);
}

// In the numbering of Order.
inline std::vector<Touch> all_touches(const std::vector<std::vector<Launch>>& ranks) {
  std::vector<Touch> touches;
  size_t first = 0;
  for (size_t rank = 0; rank < ranks.size(); ++rank) {
    for (const Launch& launch : ranks[rank]) {
      for (Touch touch : touches_of(*launch.schedule, static_cast<int64_t>(rank), launch.step)) {
        touch.op += first;
        touches.push_back(touch);
      }
      first += launch.schedule->program.ops.size();
    }
  }
  return touches;
}

// Memory that a rank other than its owner touches is ordered, one way or the other; collectives
// agree and order their own accesses; nothing waits for itself.
inline bool ranks_are_right(const std::vector<std::vector<Launch>>& ranks) {
  const Order order(ranks);
  const std::vector<Touch> touches = all_touches(ranks);
  std::set<std::array<int64_t, 3>> shared;
  for (const Touch& touch : touches) {
    const auto rank = static_cast<int64_t>(order.ops[touch.op].rank);
    if (touch.memory[1] != rank) shared.insert(touch.memory);
  }
  for (const Touch& a : touches) {
    for (const Touch& b : touches) {
      if (a.op >= b.op || !clash(a, b) || !shared.contains(a.memory)) continue;
      if (order.ops[a.op].members == order.ops[b.op].members) continue;
      if (!before(order, a.op, b.op) && !before(order, b.op, a.op)) return false;
    }
  }
  return order.ranks_agree && order.acyclic;
}

// The launches of one rank: what they name orders what they share.
inline bool launches_are_right(const std::vector<Launch>& launches) {
  Reach known(launches.size());  // known[a][b]: b is done when a starts
  for (size_t later = 0; later < launches.size(); ++later) {
    for (const int32_t named : launches[later].after) {
      known[later] |= known[static_cast<size_t>(named)];
      known[later].set(static_cast<size_t>(named));
    }
    const Schedule& schedule = *launches[later].schedule;
    for (size_t i = 0; i < later; ++i) {
      if (known[later][i]) continue;
      const Schedule& earlier = *launches[i].schedule;
      if (earlier.workspace_bytes > 0 && schedule.workspace_bytes > 0) return false;
      for (const Touch& a : touches_of(earlier, 0, launches[i].step)) {
        for (const Touch& b : touches_of(schedule, 0, launches[later].step)) {
          if (a.memory[0] >= 0 && clash(a, b)) return false;
        }
      }
    }
  }
  return true;
}

}  // namespace braid::flow::testing

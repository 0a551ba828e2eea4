// For tests: the truth about a Schedule by definition alone, slowly. Boolean reachability over all
// ops and every pair of accesses. Shares no code with the compiler and none with the checker.
#pragma once

#include <bitset>
#include <set>

#include "flow/schedule.h"

namespace braid::flow::testing {

constexpr size_t kMaxNodes = 1024;
using Reach = std::vector<std::bitset<kMaxNodes>>;  // reach[a][b]: a comes before b

inline void close(Reach& reach) {
  BRAID_CHECK(reach.size() <= kMaxNodes, "({} nodes)", reach.size());
  for (size_t via = 0; via < reach.size(); ++via) {
    for (auto& from : reach) {
      if (from[via]) from |= reach[via];
    }
  }
}

inline bool acyclic(const Reach& reach) {
  for (size_t i = 0; i < reach.size(); ++i) {
    if (reach[i][i]) return false;
  }
  return true;
}

struct Touch {
  size_t op;
  std::array<int64_t, 3> memory;  // {resident, owner, copy}; the workspace is {-1, -1, 0}
  int64_t first, last;            // bytes
  bool write;
  int buffer;  // -1: scratch
};

inline bool clash(const Touch& a, const Touch& b) {
  return (a.write || b.write) && a.memory == b.memory && a.first < b.last && b.first < a.last;
}

// Every access of every op; `rank` owns what has no owner, even and odd steps use two copies.
inline std::vector<Touch> touches_of(const Schedule& schedule, int64_t rank = 0, int64_t step = 0) {
  std::vector<Touch> touches;
  const Program& program = schedule.program;
  const auto add = [&](size_t op, int32_t value, bool write) {
    const ValueInfo& view = program.values[static_cast<size_t>(value)];
    const Buffer& buffer = program.buffers[static_cast<size_t>(view.buffer)];
    if (buffer.lifetime == Lifetime::weight) return;
    const bool in_step = buffer.lifetime == Lifetime::step;
    const int64_t base =
        in_step ? schedule.buffers[static_cast<size_t>(view.buffer)].offset : int64_t{0};
    std::array<int64_t, 3> memory = {-1, -1, 0};
    if (!in_step) memory = {buffer.resident, buffer.owner, buffer.copies == 2 ? step % 2 : 0};
    if (!in_step && buffer.owner < 0) memory[1] = rank;
    touches.push_back({op, memory, base + view.first_row * buffer.row_bytes,
                       base + (view.first_row + view.region_rows) * buffer.row_bytes, write,
                       view.buffer});
  };
  for (size_t op = 0; op < program.ops.size(); ++op) {
    for (size_t i = 0; i < program.ops[op].operands.size(); ++i) {
      const int32_t id = program.ops[op].operands[i].id;
      if (id < 0) continue;
      const Access access = program.ops[op].kind().operands[i].access;
      if (access != Access::write) add(op, id, false);
      if (access != Access::read) add(op, id, true);
      const int32_t count = program.values[static_cast<size_t>(id)].count.id;
      if (count >= 0) add(op, count, false);
    }
    const Extent& scratch = schedule.scratch[op];
    const int64_t end = scratch.offset + scratch.bytes;
    if (scratch.offset >= 0) touches.push_back({op, {-1, -1, 0}, scratch.offset, end, true, -1});
  }
  return touches;
}

// Run serially: whether each byte of a step buffer is written before it is read, and is the
// buffer's alone from then on.
inline bool contents_are_right(const Schedule& schedule, const std::vector<Touch>& touches) {
  std::vector<int> holds(static_cast<size_t>(schedule.workspace_bytes), -2);
  std::set<std::pair<int, int64_t>> had;  // {buffer, byte}: written at any time before
  for (size_t op = 0; op < schedule.program.ops.size(); ++op) {
    for (const bool write : {false, true}) {  // an op reads before it writes
      for (const Touch& touch : touches) {
        if (touch.op != op || touch.memory[0] >= 0 || touch.write != write) continue;
        const Extent& place = touch.buffer >= 0
                                  ? schedule.buffers[static_cast<size_t>(touch.buffer)]
                                  : schedule.scratch[op];
        if (place.offset < 0 || place.offset + place.bytes > schedule.workspace_bytes) return false;
        for (int64_t byte = touch.first; byte < touch.last; ++byte) {
          int& holder = holds[static_cast<size_t>(byte)];
          const bool lost = touch.buffer >= 0 && holder != touch.buffer;
          if (lost && (!write || had.contains({touch.buffer, byte}))) return false;
          if (write) holder = touch.buffer;
          if (write) had.insert({touch.buffer, byte});
        }
      }
    }
  }
  return true;
}

inline bool schedule_is_right(const Schedule& schedule) {
  Reach reach(schedule.program.ops.size());
  for (const auto& lane : schedule.lanes) {
    for (size_t i = 1; i < lane.size(); ++i) {
      reach[static_cast<size_t>(lane[i - 1])][static_cast<size_t>(lane[i])] = true;
    }
  }
  for (size_t op = 0; op < reach.size(); ++op) {
    for (const int32_t wait : schedule.waits[op]) reach[static_cast<size_t>(wait)][op] = true;
  }
  close(reach);
  const std::vector<Touch> touches = touches_of(schedule);
  for (const Touch& a : touches) {
    for (const Touch& b : touches) {
      if (!clash(a, b) || a.op > b.op) continue;
      if (a.op == b.op ? a.buffer != b.buffer : !reach[a.op][b.op]) return false;
    }
  }
  return acyclic(reach) && contents_are_right(schedule, touches);
}

}  // namespace braid::flow::testing

// For tests: what the ops of a Schedule touch and whether memory keeps it, by definition alone.
// Shares no code with the compiler and none with the checker.
#pragma once

#include <set>

#include "flow/schedule.h"

namespace braid::flow::testing {

const auto& at(const auto& items, int64_t index) { return items[static_cast<size_t>(index)]; }

struct Touch {
  size_t op;
  std::array<int64_t, 3> memory;  // {resident, or -1: the workspace; owner; copy}
  int64_t first, last;            // bytes
  bool write;
  int32_t buffer;  // -1: scratch
};

inline bool clash(const Touch& a, const Touch& b) {
  return (a.write || b.write) && a.memory == b.memory && a.first < b.last && b.first < a.last;
}

// Every access of every op; `rank` owns what has no owner, even and odd steps use two copies.
inline std::vector<Touch> touches_of(const Schedule& schedule, int64_t rank, int64_t step) {
  std::vector<Touch> touches;
  const Program& program = schedule.program;
  const auto add = [&](size_t op, int32_t value, bool write) {
    const ValueInfo& view = at(program.values, value);
    const Buffer& buffer = at(program.buffers, view.buffer);
    if (buffer.lifetime == Lifetime::weight) return;
    const bool in_step = buffer.lifetime == Lifetime::step;
    const int64_t base = in_step ? at(schedule.buffers, view.buffer).offset : 0;
    std::array<int64_t, 3> memory = {-1, rank, 0};
    if (!in_step) memory = {buffer.resident, buffer.owner, buffer.copies == 2 ? step % 2 : 0};
    if (memory[1] < 0) memory[1] = rank;
    touches.push_back({op, memory, base + view.first_row * buffer.row_bytes,
                       base + (view.first_row + view.region_rows) * buffer.row_bytes, write,
                       view.buffer});
  };
  for (size_t op = 0; op < program.ops.size(); ++op) {
    for (size_t i = 0; i < program.ops[op].operands.size(); ++i) {
      const int32_t value = program.ops[op].operands[i].id;
      if (value < 0) continue;
      const Access access = program.ops[op].kind().operands[i].access;
      if (access != Access::write) add(op, value, false);
      if (access != Access::read) add(op, value, true);
      const int32_t count = at(program.values, value).count.id;
      if (count >= 0) add(op, count, false);
    }
    const Extent& scratch = schedule.scratch[op];
    const int64_t end = scratch.offset + scratch.bytes;
    if (scratch.offset >= 0) touches.push_back({op, {-1, rank, 0}, scratch.offset, end, true, -1});
  }
  return touches;
}

// Run serially: whether each byte of a step buffer is written before it is read, and is the
// buffer's alone from then on.
inline bool contents_are_right(const Schedule& schedule, const std::vector<Touch>& touches) {
  std::vector<int32_t> holds(static_cast<size_t>(schedule.workspace_bytes), -2);
  std::set<std::pair<int32_t, int64_t>> had;  // {buffer, byte}: written at any time before
  for (size_t op = 0; op < schedule.program.ops.size(); ++op) {
    for (const bool write : {false, true}) {  // an op reads before it writes
      for (const Touch& touch : touches) {
        if (touch.op != op || touch.memory[0] >= 0 || touch.write != write) continue;
        const Extent& place =
            touch.buffer >= 0 ? at(schedule.buffers, touch.buffer) : schedule.scratch[op];
        if (place.offset < 0 || place.offset + place.bytes > schedule.workspace_bytes) return false;
        for (int64_t byte = touch.first; byte < touch.last; ++byte) {
          int32_t& holder = holds[static_cast<size_t>(byte)];
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

}  // namespace braid::flow::testing

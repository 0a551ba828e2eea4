#include "flow/workspace.h"

#include <algorithm>

namespace braid::flow {
namespace {

constexpr int64_t align_up(int64_t bytes) {
  return (bytes + kWorkspaceAlignment - 1) / kWorkspaceAlignment * kWorkspaceAlignment;
}

// When a piece of workspace is in use, in clocks.
struct Life {
  Clock born = kEndOfTime;  // what has surely ended before any use of it
  Clock last = {};          // what must have ended before another may have its place

  void use(const Clock& before, const Clock& after, size_t lane) {
    for (size_t i = 0; i < kNumLanes; ++i) born[i] = std::min(born[i], before[i]);
    last[lane] = std::max(last[lane], after[lane]);
  }
};

struct Placed {
  Extent extent;
  Clock last;
};

// First fit among the pieces that are not surely dead when the new one is born.
class Arena {
 public:
  Extent place(int64_t bytes, const Life& life) {
    busy_.clear();
    for (const Placed& piece : live_) {
      if (!covers(life.born, piece.last)) busy_.push_back(piece.extent);
    }
    std::sort(busy_.begin(), busy_.end(),
              [](const Extent& a, const Extent& b) { return a.offset < b.offset; });
    int64_t offset = 0;
    for (const Extent& extent : busy_) {
      if (offset + bytes <= extent.offset) break;
      offset = std::max(offset, align_up(extent.offset + extent.bytes));
    }
    size_ = std::max(size_, offset + align_up(bytes));
    live_.push_back({{offset, bytes}, life.last});
    return live_.back().extent;
  }

  // Forgets pieces that are dead for every op from here on.
  void retire(const Clock& reached_by_all) {
    std::erase_if(live_, [&](const Placed& piece) { return covers(reached_by_all, piece.last); });
  }

  int64_t size() const { return size_; }

 private:
  std::vector<Placed> live_;
  std::vector<Extent> busy_;
  int64_t size_ = 0;
};

// What every op from here on knows to have ended: the least over the next op of each lane.
Clock reached_by_all(const std::array<size_t, kNumLanes>& issued, const Schedule& schedule,
                     const std::vector<Clock>& before) {
  Clock reached = kEndOfTime;
  for (size_t lane = 0; lane < kNumLanes; ++lane) {
    if (issued[lane] == schedule.lanes[lane].size()) continue;
    const Clock& known = before[static_cast<size_t>(schedule.lanes[lane][issued[lane]])];
    for (size_t i = 0; i < kNumLanes; ++i) reached[i] = std::min(reached[i], known[i]);
  }
  return reached;
}

}  // namespace

void plan_workspace(Schedule& schedule, const std::vector<Clock>& before,
                    const std::vector<Clock>& after, const ScratchBytes& scratch_bytes) {
  const Program& program = schedule.program;
  schedule.buffers.assign(program.buffers.size(), Extent{});
  schedule.scratch.assign(program.ops.size(), Extent{});

  std::vector<Life> lives(program.buffers.size());
  for (size_t i = 0; i < program.ops.size(); ++i) {
    for_each_region(program, program.ops[i], [&](const Region& region) {
      lives[static_cast<size_t>(region.buffer)].use(before[i], after[i],
                                                    index_of(program.ops[i].lane));
    });
  }

  Arena arena;
  std::array<size_t, kNumLanes> issued{};
  std::vector<Type> types;
  for (size_t i = 0; i < program.ops.size(); ++i) {
    const Op& op = program.ops[i];
    for_each_region(program, op, [&](const Region& region) {
      const auto index = static_cast<size_t>(region.buffer);
      const Buffer& buffer = program.buffers[index];
      if (buffer.lifetime != Lifetime::step || schedule.buffers[index].offset >= 0) return;
      schedule.buffers[index] = arena.place(buffer.bytes(), lives[index]);
    });
    if (scratch_bytes) {
      types.clear();
      for (const Value operand : op.operands) types.push_back(program.type_of(operand));
      if (const int64_t bytes = scratch_bytes(op, types); bytes > 0) {
        Life life;
        life.use(before[i], after[i], index_of(op.lane));
        schedule.scratch[i] = arena.place(bytes, life);
      }
    }
    ++issued[index_of(op.lane)];
    arena.retire(reached_by_all(issued, schedule, before));
  }
  schedule.workspace_bytes = arena.size();
}

}  // namespace braid::flow

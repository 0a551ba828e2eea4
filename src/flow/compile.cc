#include "flow/compile.h"

#include <fmt/format.h>

#include "flow/clocks.h"
#include "flow/workspace.h"

namespace braid::flow {
namespace {

// Who touched a buffer so far. An entry is dropped when a later write covers its rows: whatever
// conflicts with the entry conflicts with that write too, and the write comes after the entry.
struct Touch {
  Region region;
  int32_t op;
};

void remember(std::vector<Touch>& touches, const Region& region, int32_t op) {
  if (writes(region.access)) {
    std::erase_if(touches, [&](const Touch& touch) {
      return region.first <= touch.region.first && touch.region.last <= region.last;
    });
  }
  touches.push_back({region, op});
}

class Compiler {
 public:
  explicit Compiler(Program program) {
    schedule_.program = std::move(program);
    touches_.resize(schedule_.program.buffers.size());
    schedule_.waits.resize(schedule_.program.ops.size());
    before_.resize(schedule_.program.ops.size());
    after_.resize(schedule_.program.ops.size());
  }

  Result<Schedule> run(const ScratchBytes& scratch_bytes) {
    for (size_t i = 0; i < schedule_.program.ops.size(); ++i) {
      TRY(order(static_cast<int32_t>(i)));
    }
    plan_workspace(schedule_, before_, after_, scratch_bytes);
    summarize();
    return std::move(schedule_);
  }

 private:
  // Appends op to its lane, finds what it must wait for, and updates the clocks.
  Status order(int32_t index) {
    const Op& op = schedule_.program.ops[static_cast<size_t>(index)];
    const size_t lane = index_of(op.lane);
    auto& queue = schedule_.lanes[lane];
    Clock known = queue.empty() ? Clock{} : after_[static_cast<size_t>(queue.back())];

    Clock needed{};  // per lane: position + 1 of the last op that must have ended
    TRY(need_conflicts(op, needed));
    set_waits(index, lane, known, needed);

    for (const int32_t wait : schedule_.waits[static_cast<size_t>(index)]) {
      merge(known, after_[static_cast<size_t>(wait)]);
    }
    before_[static_cast<size_t>(index)] = known;
    queue.push_back(index);
    known[lane] = static_cast<int32_t>(queue.size());
    after_[static_cast<size_t>(index)] = known;
    for_each_region(schedule_.program, op, [&](const Region& region) {
      if (!constant(region)) remember(touches_[static_cast<size_t>(region.buffer)], region, index);
    });
    return {};
  }

  bool constant(const Region& region) const {
    return schedule_.program.buffers[static_cast<size_t>(region.buffer)].lifetime ==
           Lifetime::weight;
  }

  Status need_conflicts(const Op& op, Clock& needed) const {
    const Program& program = schedule_.program;
    Status status;
    for_each_region(program, op, [&](const Region& region) {
      const Buffer& buffer = program.buffers[static_cast<size_t>(region.buffer)];
      bool produced = buffer.lifetime != Lifetime::step || !reads(region.access);
      if (constant(region)) {
        if (!writes(region.access)) return;
        status = Error(ErrorKind::internal, "an op writes a weight")
                     .with("op", program.describe(op))
                     .with("buffer", buffer.label);
      }
      for (const Touch& touch : touches_[static_cast<size_t>(region.buffer)]) {
        if (!overlap(touch.region, region)) continue;
        produced = produced || writes(touch.region.access);
        if (!conflict(touch.region, region)) continue;
        const Op& earlier = program.ops[static_cast<size_t>(touch.op)];
        const Clock& clock = after_[static_cast<size_t>(touch.op)];
        const size_t lane = index_of(earlier.lane);
        needed[lane] = std::max(needed[lane], clock[lane]);
      }
      if (!produced && status.ok()) {
        status = Error(ErrorKind::internal, "an op reads rows that no earlier op wrote")
                     .with("op", program.describe(op))
                     .with("buffer", buffer.label)
                     .with("rows", fmt::format("[{}, {})", region.first, region.last));
      }
    });
    return status;
  }

  // The fewest waits: none for what the lane's order or another wait implies already.
  void set_waits(int32_t index, size_t lane, const Clock& known, const Clock& needed) {
    Waits candidates;
    for (size_t other = 0; other < kNumLanes; ++other) {
      if (other == lane || needed[other] <= known[other]) continue;
      candidates.push_back(schedule_.lanes[other][static_cast<size_t>(needed[other]) - 1]);
    }
    for (const int32_t candidate : candidates) {
      const size_t of = index_of(schedule_.program.ops[static_cast<size_t>(candidate)].lane);
      bool implied = false;
      for (const int32_t other : candidates) {
        implied =
            implied || (other != candidate && after_[static_cast<size_t>(other)][of] >= needed[of]);
      }
      if (!implied) schedule_.waits[static_cast<size_t>(index)].push_back(candidate);
    }
  }

  void summarize() {
    const Program& program = schedule_.program;
    std::vector<SummaryEntry>& summary = schedule_.summary;
    for (const Op& op : program.ops) {
      for_each_region(program, op, [&](const Region& region) {
        const Buffer& buffer = program.buffers[static_cast<size_t>(region.buffer)];
        if (buffer.lifetime != Lifetime::carried) return;
        const auto same = [&](const SummaryEntry& entry) {
          return entry.resident == buffer.resident && entry.owner == buffer.owner &&
                 entry.first == region.first && entry.last == region.last;
        };
        auto entry = std::find_if(summary.begin(), summary.end(), same);
        if (entry == summary.end()) {
          summary.push_back({buffer.resident, buffer.owner, buffer.copies, region.first,
                             region.last, false, false});
          entry = std::prev(summary.end());
        }
        entry->read = entry->read || reads(region.access);
        entry->written = entry->written || writes(region.access);
      });
    }
  }

  Schedule schedule_;
  std::vector<std::vector<Touch>> touches_;  // per buffer
  std::vector<Clock> before_;                // per op: what has ended when it starts
  std::vector<Clock> after_;                 // per op: the same, and itself
};

}  // namespace

Result<Schedule> compile(Program program, const ScratchBytes& scratch_bytes) {
  return Compiler(std::move(program)).run(scratch_bytes);
}

}  // namespace braid::flow

#include "flow/compile.h"

#include <fmt/format.h>

#include "flow/clocks.h"
#include "flow/workspace.h"

namespace braid::flow {
namespace {

// Who touched a buffer so far. An entry is dropped when a later write covers its rows: whatever
// conflicts with the entry conflicts with that write too, and the write comes after the entry. A
// later read on the same lane stands for an earlier one in the same way.
struct Touch {
  Region region;
  int32_t op;
  Lane lane;
};

void remember(std::vector<Touch>& touches, const Region& region, int32_t op, Lane lane) {
  std::erase_if(touches, [&](const Touch& touch) {
    return region.first <= touch.region.first && touch.region.last <= region.last &&
           (writes(region.access) || (lane == touch.lane && !writes(touch.region.access)));
  });
  touches.push_back({region, op, lane});
}

// Whether earlier writes together cover the rows that `region` reads.
bool produced(const std::vector<Touch>& touches, const Region& region) {
  int64_t reached = region.first;
  for (bool progress = true; progress && reached < region.last;) {
    progress = false;
    for (const Touch& touch : touches) {
      if (!writes(touch.region.access) || touch.region.first > reached) continue;
      progress = progress || touch.region.last > reached;
      reached = std::max(reached, touch.region.last);
    }
  }
  return reached >= region.last;
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

  Result<Schedule> run(const ScratchBytes& scratch_bytes, const KernelOverlaps& overlaps) {
    for (size_t i = 0; i < schedule_.program.ops.size(); ++i) {
      TRY(order(static_cast<int32_t>(i)));
    }
    plan_workspace(schedule_, before_, after_, scratch_bytes);
    derive_successions(schedule_, overlaps);
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
      if (constant(region)) return;
      remember(touches_[static_cast<size_t>(region.buffer)], region, index, op.lane);
    });
    return {};
  }

  bool constant(const Region& region) const {
    return schedule_.program.buffers[static_cast<size_t>(region.buffer)].lifetime ==
           Lifetime::weight;
  }

  // Per lane in `needed`: the last op that conflicts with this one.
  Status need_conflicts(const Op& op, Clock& needed) const {
    const Program& program = schedule_.program;
    Status status;
    for_each_region(program, op, [&](const Region& region) {
      const Buffer& buffer = program.buffers[static_cast<size_t>(region.buffer)];
      const auto& touches = touches_[static_cast<size_t>(region.buffer)];
      if (!status.ok()) return;
      if (constant(region) && writes(region.access)) {
        status = Error(ErrorKind::internal, "an op writes a weight")
                     .with("op", program.describe(op))
                     .with("buffer", buffer.label);
      } else if (buffer.lifetime == Lifetime::step && reads(region.access) &&
                 !produced(touches, region)) {
        status = Error(ErrorKind::internal, "an op reads rows that no earlier op wrote")
                     .with("op", program.describe(op))
                     .with("buffer", buffer.label)
                     .with("rows", fmt::format("[{}, {})", region.first, region.last));
      }
      for (const Touch& touch : touches) {
        if (!conflict(touch.region, region)) continue;
        const size_t lane = index_of(touch.lane);
        needed[lane] = std::max(needed[lane], after_[static_cast<size_t>(touch.op)][lane]);
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
    std::vector<std::vector<size_t>> entries(program.buffers.size());  // per buffer, into summary
    for (const Op& op : program.ops) {
      for_each_region(program, op, [&](const Region& region) {
        const Buffer& buffer = program.buffers[static_cast<size_t>(region.buffer)];
        if (buffer.lifetime != Lifetime::carried) return;
        auto& of_buffer = entries[static_cast<size_t>(region.buffer)];
        auto found = std::find_if(of_buffer.begin(), of_buffer.end(), [&](size_t entry) {
          return summary[entry].first == region.first && summary[entry].last == region.last;
        });
        if (found == of_buffer.end()) {
          found = of_buffer.insert(found, summary.size());
          summary.push_back({buffer.resident, buffer.owner, buffer.copies, region.first,
                             region.last, false, false});
        }
        SummaryEntry& entry = summary[*found];
        entry.read = entry.read || reads(region.access);
        entry.written = entry.written || writes(region.access);
      });
    }
  }

  Schedule schedule_;
  std::vector<std::vector<Touch>> touches_;  // per buffer
  std::vector<Clock> before_;                // per op: what has ended when it starts
  std::vector<Clock> after_;                 // per op: the same, and itself
};

}  // namespace

Result<Schedule> compile(Program program, const ScratchBytes& scratch_bytes,
                         const KernelOverlaps& overlaps) {
  return Compiler(std::move(program)).run(scratch_bytes, overlaps);
}

}  // namespace braid::flow

#include "flow/overlap.h"

#include "flow/schedule.h"

namespace braid::flow {
namespace {

// On lanes of collectives and of copies there is more than kernels: what is awaited, marks.
bool may_overlap(const Program& program, const Op& op) {
  const bool of_kernels = op.lane == Lane::compute || op.lane == Lane::aux;
  return of_kernels && !program.collective_of(op).has_value();
}

// Nothing that a run does can change it.
bool is_constant(const Program& program, Value value) {
  return program.buffer_of(value).lifetime == Lifetime::weight;
}

// No op but `front` can still run when the one behind it starts, and that doesn't write it.
bool is_settled(const Program& program, const Op& front, Value value) {
  const ValueInfo& view = program.info(value);
  const Region region{view.buffer, view.first_row, view.first_row + view.region_rows, Access::read};
  bool written = false;
  for_each_region(program, front, [&](const Region& other) { written |= conflict(region, other); });
  return !written;
}

// Whether what the op reads early may be read so. `front`: the op before it, where that releases
// late.
bool reads_early(const Program& program, const Op& op, uint32_t early_operands, const Op* front) {
  bool any = false;
  for (size_t i = 0; i < op.operands.size(); ++i) {
    const Value value = op.operands[i];
    if ((early_operands >> i & 1u) == 0 || !value.present()) continue;
    if (program.buffer_of(value).owner >= 0 || program.info(value).count.present()) return false;
    if (!is_constant(program, value) && (front == nullptr || !is_settled(program, *front, value))) {
      return false;
    }
    any = true;
  }
  return any;
}

}  // namespace

void derive_successions(Schedule& schedule, const KernelOverlaps& overlaps) {
  const Program& program = schedule.program;
  schedule.successions.assign(program.ops.size(), {});
  if (overlaps == nullptr) return;
  for (const Lane lane : kLanes) {
    const Succession* before = nullptr;  // of the op in front; null where it can't be followed
    const Op* front = nullptr;           // that op
    for (const int32_t index : schedule.lanes[index_of(lane)]) {
      const auto i = static_cast<size_t>(index);
      const Op& op = program.ops[i];
      const OpTypes types = program.types_of(op);
      Succession& own = schedule.successions[i];
      own.kernels = overlaps(op, {types.begin(), types.size()});
      const bool overlaps_others = may_overlap(program, op);
      own.follows = before != nullptr && before->kernels.can_be_followed && overlaps_others &&
                    own.kernels.awaits_predecessor && schedule.waits[i].empty();
      const Op* const late = own.follows && before->kernels.releases_late ? front : nullptr;
      own.constant_weights =
          own.follows && reads_early(program, op, own.kernels.early_operands, late);
      before = overlaps_others ? &own : nullptr;
      front = &op;
    }
  }
}

}  // namespace braid::flow

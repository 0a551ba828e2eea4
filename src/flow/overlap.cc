#include "flow/overlap.h"

#include "flow/schedule.h"

namespace braid::flow {
namespace {

// On lanes of collectives and of copies there is more than kernels: what is awaited, marks.
bool may_overlap(const Program& program, const Op& op) {
  const bool of_kernels = op.lane == Lane::compute || op.lane == Lane::aux;
  return of_kernels && !program.collective_of(op).has_value();
}

// Nothing that a run does can change what the op reads early.
bool reads_constants_early(const Program& program, const Op& op, uint32_t early_operands) {
  bool any = false;
  for (size_t i = 0; i < op.operands.size(); ++i) {
    if ((early_operands >> i & 1u) == 0 || !op.operands[i].present()) continue;
    const ValueInfo& value = program.info(op.operands[i]);
    const Buffer& buffer = program.buffer_of(op.operands[i]);
    if (buffer.lifetime != Lifetime::weight || buffer.owner >= 0 || value.count.present()) {
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
    for (const int32_t index : schedule.lanes[index_of(lane)]) {
      const auto i = static_cast<size_t>(index);
      const Op& op = program.ops[i];
      const OpTypes types = program.types_of(op);
      Succession& own = schedule.successions[i];
      own.kernels = overlaps(op, {types.begin(), types.size()});
      const bool overlaps_others = may_overlap(program, op);
      own.follows = before != nullptr && before->kernels.can_be_followed && overlaps_others &&
                    own.kernels.awaits_predecessor && schedule.waits[i].empty();
      own.constant_weights =
          own.follows && reads_constants_early(program, op, own.kernels.early_operands);
      before = overlaps_others ? &own : nullptr;
    }
  }
}

}  // namespace braid::flow

// Whether kernels overlap only where they may (programmatic dependent launch).
//
// A kernel that follows may be launched while the one before it on its lane still runs. It awaits
// that one's end, so that all other proofs, which take lanes for queues, hold as they are: to wait
// for it is to wait for its predecessors, too. Proven here: that it does await, that nothing but a
// kernel stands before it, and that nothing writes what it reads before it awaits. Any number of
// kernels in front may still run then, and it reads weights of its own rank, which no op writes
// (check_shape); or the op in front lets it start only when all before that one have ended, and it
// reads what that one doesn't write.
#include "flow/check/access.h"

namespace braid::flow::check {
namespace {

class Overlaps {
 public:
  explicit Overlaps(const Schedule& schedule)
      : schedule_(schedule), program_(schedule.program), spaces_(program_) {}

  Status run() {
    for (const Lane lane : kLanes) {
      int32_t before = -1;
      for (const int32_t op : schedule_.lanes[index_of(lane)]) {
        if (at(op).follows) TRY(check_follows(before, op));
        if (at(op).constant_weights) TRY(check_early_reads(before, op));
        before = op;
      }
    }
    return {};
  }

 private:
  const Succession& at(int32_t op) const { return schedule_.successions[static_cast<size_t>(op)]; }

  bool is_collective(int32_t op) const {
    return program_.collective_of(op_at(program_, op)).has_value();
  }

  Error refused(const char* why, int32_t op) const {
    return Error(ErrorKind::internal, why)
        .with("op", op_text(program_, op))
        .with("lane", name_of(op_at(program_, op).lane));
  }

  Status check_follows(int32_t before, int32_t op) const {
    if (before < 0) return refused("the first op of a lane follows none", op);
    const auto behind = [&](const char* why) {
      return refused(why, op).with("behind", op_text(program_, before));
    };
    if (!at(op).kernels.awaits_predecessor) {
      return behind("an op follows another one without awaiting its end");
    }
    if (!at(before).kernels.can_be_followed) {
      return behind("an op follows one that does not end in a kernel");
    }
    const Waits& waits = schedule_.waits[static_cast<size_t>(op)];
    if (!waits.empty()) {
      return behind("an op that waits for another lane follows one of its own")
          .with("waits for", op_text(program_, *waits.begin()));
    }
    if (is_collective(op)) return behind("a collective follows another op");
    if (is_collective(before)) return behind("an op follows a collective");
    const Lane lane = op_at(program_, op).lane;
    if (lane == Lane::comm || lane == Lane::copy) {
      return behind("an op follows another one on a lane of collectives or copies");
    }
    return {};
  }

  Status check_early_reads(int32_t before, int32_t op) const {
    if (!at(op).follows) return refused("an op reads weights early but follows none", op);
    const Op& node = op_at(program_, op);
    const uint32_t early = at(op).kernels.early_operands;
    for (uint32_t i = 0; i < 32; ++i) {
      if ((early >> i & 1u) == 0 || i >= node.operands.size() || node.operands[i].id < 0) continue;
      TRY(check_early_read(before, op, i));
    }
    return {};
  }

  Status check_early_read(int32_t before, int32_t op, uint32_t operand) const {
    const Op& node = op_at(program_, op);
    const ValueInfo& view = program_.values[static_cast<size_t>(node.operands[operand].id)];
    const Buffer& buffer = buffer_at(program_, view.buffer);
    const auto refuse = [&](const char* why) {
      return refused(why, op)
          .with("operand", node.desc.kind().operands[operand].name)
          .with("buffer", buffer.label);
    };
    if (buffer.lifetime != Lifetime::weight) {
      if (!at(before).kernels.releases_late) {
        return refuse("an op reads early what is no weight")
            .with("it is", name_of(buffer.lifetime));
      }
      if (writes_some(before, view)) {
        return refuse("an op reads early what the one in front writes")
            .with("behind", op_text(program_, before));
      }
    }
    if (buffer.owner >= 0) return refuse("an op reads another rank's weight early");
    if (view.count.id >= 0) return refuse("an op reads early how many rows a weight has");
    return {};
  }

  // Two buffers may name one resident.
  bool same_memory(int32_t a, int32_t b) const {
    const int32_t space = spaces_.of_buffer[static_cast<size_t>(a)];
    return a == b || (space >= 0 && space == spaces_.of_buffer[static_cast<size_t>(b)]);
  }

  bool writes_some(int32_t op, const ValueInfo& view) const {
    const Op& node = op_at(program_, op);
    for (size_t i = 0; i < node.operands.size(); ++i) {
      if (node.operands[i].id < 0 || !writes(node.desc.kind().operands[i].access)) continue;
      const ValueInfo& written = program_.values[static_cast<size_t>(node.operands[i].id)];
      if (same_memory(written.buffer, view.buffer) &&
          written.first_row < view.first_row + view.region_rows &&
          view.first_row < written.first_row + written.region_rows) {
        return true;
      }
    }
    return false;
  }

  const Schedule& schedule_;
  const Program& program_;
  ResidentSpaces spaces_;
};

}  // namespace

Status check_overlaps(const Schedule& schedule) { return Overlaps(schedule).run(); }

}  // namespace braid::flow::check

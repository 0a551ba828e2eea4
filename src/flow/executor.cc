#include "flow/executor.h"

namespace braid::flow {
namespace {

class Binder {
 public:
  Binder(const Schedule& schedule, const Residents& residents, std::byte* arena)
      : schedule_(schedule), residents_(residents), arena_(arena) {}

  Result<Arg> bind(Value value, int32_t parity) const {
    if (!value.present()) return Arg{};
    const ValueInfo& info = schedule_.program.info(value);
    Arg arg;
    arg.data = TRY(base_of(info.buffer, parity)) + info.offset;
    arg.stride = info.stride;
    arg.first_row = info.first_row;
    arg.rows = info.rows;
    arg.first_col = info.first_col;
    arg.cols = info.cols;
    arg.format = info.format;
    if (info.count.present()) {
      const ValueInfo& count = schedule_.program.info(info.count);
      std::byte* base = TRY(base_of(count.buffer, parity));
      arg.count = reinterpret_cast<const int32_t*>(base + count.offset);
    }
    return arg;
  }

 private:
  Result<std::byte*> base_of(int32_t index, int32_t parity) const {
    const Buffer& buffer = schedule_.program.buffers[static_cast<size_t>(index)];
    if (buffer.lifetime == Lifetime::step) {
      return arena_ + schedule_.buffers[static_cast<size_t>(index)].offset;
    }
    std::byte* data = residents_.data(buffer.resident, buffer.copies == 2 ? parity : 0);
    if (data == nullptr) {
      return Error(ErrorKind::internal, "a resident buffer is not allocated")
          .with("buffer", residents_[buffer.resident].name);
    }
    return data;
  }

  const Schedule& schedule_;
  const Residents& residents_;
  std::byte* arena_;
};

}  // namespace

Result<BoundSchedule> bind(const Schedule& schedule, const LauncherTable& table,
                           const Residents& residents, std::byte* arena) {
  const Binder binder(schedule, residents, arena);
  BoundSchedule bound;
  bound.schedule = &schedule;
  bound.ops.resize(schedule.program.ops.size());
  for (size_t i = 0; i < bound.ops.size(); ++i) {
    const Op& op = schedule.program.ops[i];
    BoundOp& to = bound.ops[i];
    to.launcher = TRY(table.find(schedule.program, op));
    for (int32_t parity = 0; parity < 2; ++parity) {
      for (const Value operand : op.operands) {
        to.args[static_cast<size_t>(parity)].push_back(TRY(binder.bind(operand, parity)));
      }
    }
    const Extent& scratch = schedule.scratch[i];
    if (scratch.offset >= 0) to.workspace = {arena + scratch.offset, scratch.bytes};
  }
  return bound;
}

void launch(const BoundSchedule& bound, size_t index, int64_t step, device::Queue* queue) {
  const BoundOp& op = bound.ops[index];
  const auto& args = op.args[static_cast<size_t>(step & 1)];
  op.launcher->launch(bound.schedule->program.ops[index].desc.data(), {args.begin(), args.size()},
                      op.workspace, queue);
}

void run_serial(const BoundSchedule& bound, int64_t step) {
  for (size_t i = 0; i < bound.ops.size(); ++i) launch(bound, i, step);
}

}  // namespace braid::flow

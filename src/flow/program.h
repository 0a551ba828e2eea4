// Program: the ops of one step of one rank, in an order that is valid serially. Plain data:
// builders (ops/) write it, passes rewrite it, compile() turns it into a Schedule.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/inline_vector.h"
#include "flow/kind.h"
#include "flow/types.h"

namespace braid::flow {

// Handle of a Value in its Program; id -1 stands for an absent optional operand.
struct Value {
  int32_t id = -1;
  bool present() const { return id >= 0; }
  bool operator==(const Value&) const = default;
};

// A piece of memory. `label` has static storage. Residents (weight, carried) exist once a rank and
// are named by their index in Residents; step buffers belong to this Program alone.
struct Buffer {
  std::string_view label;
  Lifetime lifetime = Lifetime::step;
  int32_t resident = -1;
  int32_t owner = -1;  // rank whose memory it is; -1: this rank's own
  int32_t copies = 1;  // 2: used in turn by even and odd steps
  int64_t rows = 0;
  int64_t row_bytes = 0;

  int64_t bytes() const { return rows * row_bytes; }
};

// A view of a buffer: `rows` rows of `cols` elements, `stride` bytes apart. Its Region is the
// buffer rows [first_row, first_row + region_rows): `rows` of them, or a multiple where the
// buffer is a plain column of words.
struct ValueInfo {
  int32_t buffer = -1;
  Format format = Format::f32;
  int64_t rows = 0;  // capacity: a proven upper bound
  int64_t cols = 0;
  int64_t first_row = 0;
  int64_t region_rows = 0;
  int64_t first_col = 0;
  int64_t offset = 0;  // bytes from the buffer's start to the first element
  int64_t stride = 0;  // bytes from row to row
  Value count;         // i32[1] on the device: how many of the buffer's rows are real
  Placement placement;
};

// Rows of a buffer that an op reads or writes.
struct Region {
  int32_t buffer = -1;
  int64_t first = 0;
  int64_t last = 0;  // one past
  Access access = Access::read;
};

constexpr bool overlap(const Region& a, const Region& b) {
  return a.buffer == b.buffer && std::max(a.first, b.first) < std::min(a.last, b.last);
}
constexpr bool conflict(const Region& a, const Region& b) {
  return (writes(a.access) || writes(b.access)) && overlap(a, b);
}

inline constexpr size_t kMaxOperands = 20;
using OpValues = InlineVector<Value, kMaxOperands>;

// An operand and which of its kind's operands it is: {GemmOperand::x, x}.
struct NamedValue {
  size_t operand = 0;
  Value value;
};

// All operands of a kind, in their order. Those that are not named are absent. Aborts where one is
// named twice or does not exist, or where one that is not optional is absent.
OpValues operands_of(const KindInfo& kind, std::span<const NamedValue> named);

// One operation. Operands stand in the order of its kind's OperandSpecs.
struct Op {
  AnyDesc desc;
  OpValues operands;
  Scope scope;
  Lane lane = Lane::compute;

  const KindInfo& kind() const { return desc.kind(); }
};

// Types of an op's operands, in their order.
using OpTypes = InlineVector<Type, kMaxOperands>;

// The ops of one scope of a Program, in program order.
struct ScopeOps {
  Scope scope;
  std::vector<int32_t> ops;
};

class Program {
 public:
  std::vector<Buffer> buffers;
  std::vector<ValueInfo> values;
  std::vector<Op> ops;

  const ValueInfo& info(Value value) const { return values[static_cast<size_t>(value.id)]; }
  const Buffer& buffer_of(Value value) const {
    return buffers[static_cast<size_t>(info(value).buffer)];
  }
  // Format and shape of a Value; zeros for an absent operand.
  Type type_of(Value value) const;
  OpTypes types_of(const Op& op) const;
  // What it costs, from its kind's declaration; zeros where there is none.
  Work work_of(const Op& op) const;
  // What all ranks of a communicator do together in this op; nothing for other kinds.
  std::optional<Collective> collective_of(const Op& op) const;
  // "gate_up [128, 256] f32"
  std::string describe(Value value) const;
  // "layer 3 experts: grouped_gemm → h [128, 256] f32": kind, scope and what it writes.
  std::string describe(const Op& op) const;

  // Every scope of this role, in program order.
  std::vector<ScopeOps> scopes(Role role) const;
  // The first op outside `scope` that reads what `scope` writes; -1 when nothing does.
  int32_t join_of(const ScopeOps& scope) const;
};

// Calls visit(Region) for every present operand of an op.
template <typename Visit>
void for_each_region(const Program& program, const Op& op, Visit&& visit) {
  const auto specs = op.kind().operands;
  for (size_t i = 0; i < op.operands.size(); ++i) {
    if (!op.operands[i].present()) continue;
    const ValueInfo& value = program.info(op.operands[i]);
    visit(Region{value.buffer, value.first_row, value.first_row + value.region_rows,
                 specs[i].access});
    if (value.count.present()) {
      const ValueInfo& count = program.info(value.count);
      visit(
          Region{count.buffer, count.first_row, count.first_row + count.region_rows, Access::read});
    }
  }
}

// Whether two ops touch the same rows and one of them writes: their order must be kept.
bool conflict(const Program& program, const Op& a, const Op& b);

}  // namespace braid::flow

// The accesses of ops as the checker reads them off a Program: its own reading, so that a mistake
// in the compiler's is not repeated here.
#pragma once

#include <string>

#include "flow/check/check.h"
#include "flow/check/segments.h"

namespace braid::flow::check {

inline const Op& op_at(const Program& program, int32_t op) {
  return program.ops[static_cast<size_t>(op)];
}
inline const Buffer& buffer_at(const Program& program, int32_t buffer) {
  return program.buffers[static_cast<size_t>(buffer)];
}

// Rows [first, last) of a buffer that an op touches.
struct RowAccess {
  int32_t buffer = -1;
  int64_t first = 0;
  int64_t last = 0;
  bool read = false;
  bool written = false;
};

// Calls visit(RowAccess) for every operand and for every row count that the kernel reads with it.
template <typename Visit>
void for_each_access(const Program& program, int32_t op, Visit&& visit) {
  const Op& node = op_at(program, op);
  const std::span<const OperandSpec> declared = node.desc.kind().operands;
  for (size_t i = 0; i < node.operands.size(); ++i) {
    const int32_t id = node.operands[i].id;
    if (id < 0) continue;
    const ValueInfo& view = program.values[static_cast<size_t>(id)];
    const Access access = declared[i].access;
    visit(RowAccess{view.buffer, view.first_row, view.first_row + view.region_rows,
                    access != Access::write, access != Access::read});
    if (view.count.id < 0) continue;
    const ValueInfo& count = program.values[static_cast<size_t>(view.count.id)];
    visit(
        RowAccess{count.buffer, count.first_row, count.first_row + count.region_rows, true, false});
  }
}

// A resident's memory on one rank; owner -1 is the rank itself.
struct ResidentKey {
  int32_t resident = -1;
  int32_t owner = -1;
  auto operator<=>(const ResidentKey&) const = default;
};

// Numbers the residents that a Program names: two buffers with one number are the same memory.
struct ResidentSpaces {
  explicit ResidentSpaces(const Program& program);
  std::vector<int32_t> of_buffer;     // -1: a step buffer
  std::vector<int32_t> first_buffer;  // per number: the first buffer that has it
};

// "[0, 4)": the rows of a buffer that hold bytes [first, last) of it.
std::string rows_text(const Buffer& buffer, int64_t first_byte, int64_t last_byte);

// "op 12 (layer 3 mlp: silu_mul → h [4, 64] f32)"
std::string op_text(const Program& program, int32_t op);

// `internal` unless the Schedule is one that the other checks can read: every op once on its lane,
// every index in range, views in Regions in buffers in places in the workspace, no weight written.
Status check_shape(const Schedule& schedule);

// Whether ops follow others, and read weights early, only where they may.
Status check_overlaps(const Schedule& schedule);

// Whether Schedule.summary covers exactly what the ops read and write of carried buffers.
Status check_summary(const Schedule& schedule);

// Whether a launch names earlier launches of its rank alone.
Status check_names(std::span<const Launch> launches, size_t launch);

}  // namespace braid::flow::check

#include "flow/uses.h"

namespace braid::flow {
namespace {

Region region_of(const Program& program, Value value, Access access) {
  const ValueInfo& view = program.info(value);
  return {view.buffer, view.first_row, view.first_row + view.region_rows, access};
}

}  // namespace

bool same_memory(const Program& program, Value a, Value b) {
  const ValueInfo& one = program.info(a);
  const ValueInfo& other = program.info(b);
  return one.buffer == other.buffer && one.offset == other.offset && one.rows == other.rows &&
         one.cols == other.cols;
}

Uses::Uses(const Program& program) : program_(program), ops_(program.buffers.size()) {
  for (size_t i = 0; i < program.ops.size(); ++i) {
    const auto index = static_cast<int32_t>(i);
    for_each_region(program, program.ops[i], [&](const Region& region) {
      std::vector<int32_t>& ops = ops_[static_cast<size_t>(region.buffer)];
      if (ops.empty() || ops.back() != index) ops.push_back(index);
    });
  }
}

std::vector<int32_t> Uses::touching(Value value) const {
  const Region wanted = region_of(program_, value, Access::read);
  std::vector<int32_t> found;
  for (const int32_t index : ops_[static_cast<size_t>(wanted.buffer)]) {
    bool touches = false;
    for_each_region(program_, program_.ops[static_cast<size_t>(index)],
                    [&](const Region& region) { touches |= overlap(region, wanted); });
    if (touches) found.push_back(index);
  }
  return found;
}

int32_t Uses::last_writer(int32_t op, Value value) const {
  const Region wanted = region_of(program_, value, Access::read);
  int32_t found = -1;
  for (const int32_t index : ops_[static_cast<size_t>(wanted.buffer)]) {
    if (index >= op) break;
    for_each_region(program_, program_.ops[static_cast<size_t>(index)], [&](const Region& region) {
      if (writes(region.access) && overlap(region, wanted)) found = index;
    });
  }
  return found;
}

int32_t Uses::only_reader(int32_t maker, Value value) const {
  if (program_.buffer_of(value).lifetime != Lifetime::step) return -1;
  const std::vector<int32_t> ops = touching(value);
  return ops.size() == 2 && ops[0] == maker ? ops[1] : -1;
}

bool Uses::may_move(int32_t op, int32_t to) const {
  const Op& moved = program_.ops[static_cast<size_t>(op)];
  for (int32_t i = std::min(op, to) + 1; i < std::max(op, to); ++i) {
    if (conflict(program_, program_.ops[static_cast<size_t>(i)], moved)) return false;
  }
  return true;
}

}  // namespace braid::flow

#include "flow/rewrite.h"

#include <algorithm>
#include <numeric>

namespace braid::flow {

std::optional<int64_t> splittable_rows(const Program& program, const Op& op) {
  if (!op.kind().row_invariant || !op.kind().row_wise()) return std::nullopt;
  std::optional<int64_t> rows;
  for (size_t i = 0; i < op.operands.size(); ++i) {
    const OperandSpec& spec = op.kind().operands[i];
    if (!op.operands[i].present()) continue;
    if (spec.slicing == Slicing::whole) {
      if (writes(spec.access)) return std::nullopt;  // its parts would write the same
      continue;
    }
    const ValueInfo& value = program.info(op.operands[i]);
    if (value.count.present() || value.rows != rows.value_or(value.rows)) return std::nullopt;
    rows = value.rows;
  }
  return rows;
}

Rewriter::Rewriter(const Program& program) : program_(program), order_(program.ops.size()) {
  std::iota(order_.begin(), order_.end(), 0);
  for (const int32_t op : order_) sources_.push_back(2 * op);
}

void Rewriter::move(const std::vector<int32_t>& ops, Lane lane, int32_t anchor) {
  std::erase_if(order_, [&](int32_t op) { return std::binary_search(ops.begin(), ops.end(), op); });
  const auto before = std::find(order_.begin(), order_.end(), anchor);
  BRAID_CHECK(before != order_.end(), "(op {} can't be moved before itself)", anchor);
  order_.insert(before, ops.begin(), ops.end());
  for (const int32_t op : ops) program_.ops[static_cast<size_t>(op)].lane = lane;
  rewrites_ += static_cast<int>(ops.size());
}

void Rewriter::split(const std::vector<int32_t>& ops, std::span<const RowRange> ranges) {
  std::vector<int32_t> parts;
  for (const RowRange& range : ranges) {
    for (const int32_t index : ops) {
      const Op& op = program_.ops[static_cast<size_t>(index)];
      BRAID_CHECK(splittable_rows(program_, op) == ranges.back().last, "({} split at {})",
                  program_.describe(op), range.last);
      parts.push_back(part(index, range));
    }
  }
  replace(ops, parts);
}

void Rewriter::replace(const std::vector<int32_t>& ops, const std::vector<int32_t>& parts) {
  const auto last = std::find(order_.begin(), order_.end(), ops.back());
  BRAID_CHECK(last != order_.end(), "(op {} was split before)", ops.back());
  order_.insert(last, parts.begin(), parts.end());
  std::erase_if(order_, [&](int32_t op) { return std::binary_search(ops.begin(), ops.end(), op); });
  rewrites_ += static_cast<int>(ops.size());
}

int32_t Rewriter::part(int32_t op, const RowRange& range) {
  Op part = program_.ops[static_cast<size_t>(op)];
  BRAID_CHECK(splittable_rows(program_, part).value_or(0) >= range.last, "({} split at {})",
              program_.describe(part), range.last);
  for (size_t i = 0; i < part.operands.size(); ++i) {
    if (!part.operands[i].present() || part.kind().operands[i].slicing == Slicing::whole) continue;
    part.operands[i] = rows_of(part.operands[i], range);
  }
  return substitute(part, op);
}

int32_t Rewriter::substitute(const Op& with, int32_t op) {
  program_.ops.push_back(with);
  sources_.push_back(sources_[static_cast<size_t>(op)]);
  return static_cast<int32_t>(program_.ops.size()) - 1;
}

int32_t Rewriter::make(const Op& op, int32_t after) {
  const int32_t made = substitute(op, after);
  ++sources_.back();
  return made;
}

void Rewriter::remove(const std::vector<int32_t>& ops) {
  std::erase_if(order_,
                [&](int32_t op) { return std::find(ops.begin(), ops.end(), op) != ops.end(); });
  rewrites_ += static_cast<int>(ops.size());
  replaced_ = true;
}

void Rewriter::replace(int32_t op, const AnyDesc& desc,
                       std::initializer_list<NamedValue> operands) {
  Op& replaced = program_.ops[static_cast<size_t>(op)];
  BRAID_CHECK(&desc.kind() == &replaced.kind(), "({} instead of {})", desc.kind().name,
              program_.describe(replaced));
  replaced.desc = desc;
  replaced.operands = operands_of(desc.kind(), operands);
  ++rewrites_;
  replaced_ = true;
}

Value Rewriter::like(Value value, int64_t rows, int64_t cols, Value count) {
  const ValueInfo& model = program_.info(value);
  const int64_t row_bytes = cols * bytes_of(model.format);
  const std::string_view label = program_.buffer_of(value).label;
  program_.buffers.push_back({.label = label, .rows = rows, .row_bytes = row_bytes});
  return add_value({.buffer = static_cast<int32_t>(program_.buffers.size()) - 1,
                    .format = model.format,
                    .rows = rows,
                    .cols = cols,
                    .region_rows = rows,
                    .stride = row_bytes,
                    .count = count,
                    .placement = model.placement});
}

Value Rewriter::rows_of(Value value, const RowRange& range) {
  ValueInfo view = program_.info(value);
  const int64_t region_per_row = view.region_rows / view.rows;
  view.first_row += range.first * region_per_row;
  view.offset += range.first * view.stride;
  view.rows = range.last - range.first;
  view.region_rows = view.rows * region_per_row;
  BRAID_CHECK(view.first_row + view.region_rows <= program_.buffer_of(value).rows,
              "(rows {} to {} of {})", range.first, range.last, program_.describe(value));
  return add_value(view);
}

Value Rewriter::uncounted(Value value) {
  ValueInfo view = program_.info(value);
  view.count = {};
  return add_value(view);
}

Value Rewriter::add_value(const ValueInfo& info) {
  program_.values.push_back(info);
  return {static_cast<int32_t>(program_.values.size()) - 1};
}

Value Rewriter::placed(Value value, const Placement& placement) {
  ValueInfo view = program_.info(value);
  view.placement = placement;
  program_.values.push_back(view);
  return {static_cast<int32_t>(program_.values.size()) - 1};
}

// No op reads a step buffer that no op before it writes.
Status Rewriter::check_written() const {
  std::vector<bool> written(program_.buffers.size());
  for (const int32_t index : order_) {
    const Op& op = program_.ops[static_cast<size_t>(index)];
    int32_t missing = -1;
    const auto is_missing = [&](int32_t buffer) {
      return program_.buffers[static_cast<size_t>(buffer)].lifetime == Lifetime::step &&
             !written[static_cast<size_t>(buffer)];
    };
    for_each_region(program_, op, [&](const Region& region) {
      if (reads(region.access) && is_missing(region.buffer)) missing = region.buffer;
    });
    if (missing >= 0) {
      return Error(ErrorKind::internal, "a rewrite left out the writer of what an op reads")
          .with("op", program_.describe(op))
          .with("buffer", program_.buffers[static_cast<size_t>(missing)].label);
    }
    for_each_region(program_, op, [&](const Region& region) {
      if (writes(region.access)) written[static_cast<size_t>(region.buffer)] = true;
    });
  }
  return {};
}

// `first` is issued before `second` now: whether it was so before, or makes no difference.
Status Rewriter::check_order(int32_t first, int32_t second) const {
  const int32_t was_first = sources_[static_cast<size_t>(first)];
  const int32_t was_second = sources_[static_cast<size_t>(second)];
  if (was_first < was_second) return {};
  const Op& now_first = program_.ops[static_cast<size_t>(first)];
  const Op& now_second = program_.ops[static_cast<size_t>(second)];
  if (!conflict(program_, now_first, now_second)) return {};
  return Error(ErrorKind::internal, was_first == was_second
                                        ? "parts of a split op depend on each other"
                                        : "a rewrite swapped two ops that depend on each other")
      .with("now first", program_.describe(now_first))
      .with("now second", program_.describe(now_second));
}

Result<Program> Rewriter::finish() && {
  if (replaced_) TRY(check_written());
  std::vector<int32_t> highest;  // highest source up to each position
  for (const int32_t op : order_) {
    const int32_t source = sources_[static_cast<size_t>(op)];
    highest.push_back(highest.empty() ? source : std::max(highest.back(), source));
  }
  for (size_t later = 1; later < order_.size(); ++later) {
    const int32_t second = order_[later];
    const int32_t source = sources_[static_cast<size_t>(second)];
    for (size_t earlier = later; earlier-- > 0 && highest[earlier] >= source;) {
      TRY(check_order(order_[earlier], second));
    }
  }
  std::vector<Op> ordered;
  ordered.reserve(order_.size());
  for (const int32_t op : order_) ordered.push_back(program_.ops[static_cast<size_t>(op)]);
  program_.ops = std::move(ordered);
  return std::move(program_);
}

}  // namespace braid::flow

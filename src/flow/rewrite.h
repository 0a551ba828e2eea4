// Rewriter: how a Pass edits a Program. Only edits that keep the order of conflicting ops pass.
#pragma once

#include <initializer_list>
#include <optional>
#include <span>

#include "flow/program.h"

namespace braid::flow {

// Rows [first, last) of what an op writes.
struct RowRange {
  int64_t first = 0;
  int64_t last = 0;
  bool operator==(const RowRange&) const = default;
};

// How many rows an op that can be split by rows has; nothing when it can't: its rows are not
// independent, or how many of them are real is known on the device alone.
std::optional<int64_t> splittable_rows(const Program& program, const Op& op);

class Rewriter {
 public:
  explicit Rewriter(const Program& program);

  // Puts `ops` (ascending) on `lane` and issues them right before op `anchor`, in their order.
  void move(const std::vector<int32_t>& ops, Lane lane, int32_t anchor);

  // Splits `ops` (ascending, splittable, of equally many rows) by the same ranges, which cover the
  // rows in order, and issues the parts in turn where the last of the ops stands: part 0 of every
  // op, part 1 of every op, … Operands follow as the kinds declare. A Desc is kept as it is, so
  // that each row is computed by the same kernel configuration.
  void split(const std::vector<int32_t>& ops, std::span<const RowRange> ranges);

  // A part of an op, to be issued by replace(): its rows `range`.
  int32_t part(int32_t op, const RowRange& range);
  // An op to be issued by replace() that does what `op` did, or a part of it.
  int32_t substitute(const Op& with, int32_t op);
  // A new op, to be issued by replace(); it counts as standing right behind op `after`.
  int32_t make(const Op& op, int32_t after);
  // Rows of a Value of the Program, which may end behind it within its buffer.
  Value rows_of(Value value, const RowRange& range);
  // The same rows, placed elsewhere.
  Value placed(Value value, const Placement& placement);
  // Issues `parts` instead of `ops` (ascending), where the last of these stands.
  void replace(const std::vector<int32_t>& ops, const std::vector<int32_t>& parts);

  // Takes ops out of the Program. finish() refuses to leave a step buffer that is read and was not
  // written.
  void remove(const std::vector<int32_t>& ops);

  // Another Desc of the op's kind, or other operands (operands_of()); it stays where it is.
  void replace(int32_t op, const AnyDesc& desc, std::initializer_list<NamedValue> operands);

  // A new step buffer of the format and placement of another.
  Value like(Value value, int64_t rows, int64_t cols, Value count = {});
  // All rows of a Value, for an op that doesn't look at how many are real.
  Value uncounted(Value value);

  // How many ops were moved, split, removed or replaced.
  int rewrites() const { return rewrites_; }

  // The rewritten Program; `internal` when an edit swapped two conflicting ops, or made parts of an
  // op that conflict.
  Result<Program> finish() &&;

 private:
  Value add_value(const ValueInfo& info);
  Status check_written() const;
  Status check_order(int32_t first, int32_t second) const;

  Program program_;
  std::vector<int32_t> order_;  // indices into program_.ops, in their new order
  // Per op: twice its place in the Program before any edit; one more for an op made behind it.
  std::vector<int32_t> sources_;
  int rewrites_ = 0;
  bool replaced_ = false;  // or removed: an op
};

}  // namespace braid::flow

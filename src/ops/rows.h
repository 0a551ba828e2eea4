// Row-wise moves and sums.
#pragma once

#include "kernels/rows/rows_desc.h"
#include "ops/rank_rows.h"

namespace braid::ops {

struct GatherRowsOperand {
  enum : size_t { table, index, out, num_operands };
};

// table [N, C], index i32 [R, 1] → [R, C]. `count`: how many rows are real.
Value gather_rows(Builder& b, Value table, Value index, std::string_view label, Value count = {});

// The same where this rank has only rows [first, first + count) of the table, and pads behind them.
// Other rows give zeros: the result is a Partial along the axes where the table is row_sharded.
Value look_up(Builder& b, Value table, Value index, const kernels::GatherRowsDesc& here,
              std::string_view label);

struct InputIdsOperand {
  enum : size_t { given, source, sampled, kv_slots, out, history, num_operands };
};

// given, source, kv_slots i32 [T, 1], sampled i32 [R, 1] → i32 [T, 1]: sampled[source[t]] where
// source[t] is 0 or more, else given[t]. Row t's id also goes to history [slots, 1] at kv_slots[t].
Value input_ids(Builder& b, Value given, Value source, Value sampled, Value kv_slots,
                Value history);

struct JoinColumnsOperand {
  enum : size_t { in, out, num_operands };
};

// x [R, C], split by columns over the ranks along one axis → [R, cols] on all of these ranks. Each
// rank's first ceil(cols / ranks) columns count, the others are pads. A whole x is only renamed.
// Rows beyond x's count are gathered, too, because ranks may know different counts.
Value gather_columns(Builder& b, Value x, int64_t cols, std::string_view label);

struct AddOperand {
  enum : size_t { a, b, out, num_operands };
};

// a + b, both [T, H] of one placement.
Value add(Builder& b, Value a, Value other, std::string_view label);

// The sum of `terms` [T, H] at `placement`. Terms that are Partial over the same ranks are added
// before their sum is reduced once. Terms that have this placement already are only renamed,
// whatever their mesh. Where `placement` has different rows along dp, a term with all ranks' rows
// becomes these by a reduce_scatter_v, which needs `ranks`. Only this function and dispatch() take
// operands of two meshes.
Value sum_to(Builder& b, std::initializer_list<Value> terms, Placement placement,
             std::string_view label, const RankRows& ranks = {});

struct CopyOperand {
  enum : size_t { in, out, num_operands };
};
using ReadBackOperand = CopyOperand;

// Copies `from` to `to`, both of one shape and format; read_back does so on lane copy.
void copy(Builder& b, Value from, Value to);
void read_back(Builder& b, Value from, Value to);

}  // namespace braid::ops

template <>
const braid::flow::KindInfo& braid::flow::kind_of<braid::kernels::GatherRowsDesc>();
template <>
const braid::flow::KindInfo& braid::flow::kind_of<braid::kernels::InputIdsDesc>();
template <>
const braid::flow::KindInfo& braid::flow::kind_of<braid::kernels::AddDesc>();
template <>
const braid::flow::KindInfo& braid::flow::kind_of<braid::kernels::JoinColumnsDesc>();
template <>
const braid::flow::KindInfo& braid::flow::kind_of<braid::kernels::CopyDesc>();
template <>
const braid::flow::KindInfo& braid::flow::kind_of<braid::kernels::ReadBackDesc>();

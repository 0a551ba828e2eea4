// Row-wise moves and sums.
#pragma once

#include "kernels/rows/rows_desc.h"
#include "ops/rank_rows.h"

namespace braid::ops {

// table [N, C], index i32 [R, 1] → [R, C]. `count`: how many rows are real.
Value gather_rows(Builder& b, Value table, Value index, std::string_view label, Value count = {});

// The same from a table of which this rank has rows [first, first + count) alone, and pads behind
// them: zeros for the others, a Partial along the axes on which the table is row_sharded.
Value look_up(Builder& b, Value table, Value index, const kernels::GatherRowsDesc& here,
              std::string_view label);

// x [R, C], split over the ranks by columns along one axis → [R, cols] on all of them: the first
// ceil(cols / ranks) columns of each rank; what they have beyond are pads. Only renamed where x is
// whole. Rows beyond x's count are gathered with the others, as ranks need not know it alike.
Value gather_columns(Builder& b, Value x, int64_t cols, std::string_view label);

// a + b, both [T, H] of one placement.
Value add(Builder& b, Value a, Value other, std::string_view label);

// The sum of `terms` [T, H] at `placement`: terms that are Partial over the same ranks are added,
// then each sum is reduced once; terms that stand there already are only renamed, whatever their
// mesh. A term of all ranks' rows gets to a placement with different rows along dp by a
// reduce_scatter_v, for which `ranks` is needed. The only function, with dispatch(), whose operands
// are of two meshes.
Value sum_to(Builder& b, std::initializer_list<Value> terms, Placement placement,
             std::string_view label, const RankRows& ranks = {});

// Copies `from` to `to`, both of one shape and format; read_back does so on lane copy.
void copy(Builder& b, Value from, Value to);
void read_back(Builder& b, Value from, Value to);

}  // namespace braid::ops

template <>
const braid::flow::KindInfo& braid::flow::kind_of<braid::kernels::GatherRowsDesc>();
template <>
const braid::flow::KindInfo& braid::flow::kind_of<braid::kernels::AddDesc>();
template <>
const braid::flow::KindInfo& braid::flow::kind_of<braid::kernels::JoinColumnsDesc>();
template <>
const braid::flow::KindInfo& braid::flow::kind_of<braid::kernels::CopyDesc>();
template <>
const braid::flow::KindInfo& braid::flow::kind_of<braid::kernels::ReadBackDesc>();

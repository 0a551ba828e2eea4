// An all-reduce in two halves: a sum of which each rank gets a part of the rows, and the gathering
// of such parts. What depends on a row alone (adding the residual, a norm) is done between them by
// one rank a row instead of all. Passes put them in an all-reduce's place; no layer names them.
#pragma once

#include "flow/rewrite.h"

namespace braid::ops {

// The rows of member `member` of `ranks`, of rows [first, last): equally many, to one.
flow::RowRange part_of(const flow::RowRange& rows, int32_t ranks, int32_t member);

// out = this rank's part of the sum over the ranks of in [R, C], rounded once.
struct ReduceScatterDesc {
  int32_t communicator = 0;
  int32_t ranks = 1;
};

// out [R, C] = the parts of all ranks. in [·, C] is this rank's part; it may be the very rows of
// `out` where it belongs.
struct GatherPartsDesc {
  int32_t communicator = 0;
  int32_t ranks = 1;
};

struct ReduceScatterOperand {
  enum : size_t { in, out, num_operands };
};
using GatherPartsOperand = ReduceScatterOperand;

}  // namespace braid::ops

template <>
const braid::flow::KindInfo& braid::flow::kind_of<braid::ops::ReduceScatterDesc>();
template <>
const braid::flow::KindInfo& braid::flow::kind_of<braid::ops::GatherPartsDesc>();

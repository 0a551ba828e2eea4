// The first part of chunk_collectives: finds the ops around a step's reductions that can be done
// chunk by chunk of rows.
#pragma once

#include <vector>

#include "flow/program.h"

namespace braid::passes {

// Ops whose rows are cut alike, up to a reduction and the parts behind it. Of a dense layer, whose
// residual stream x is added behind each reduction:
//
//   o · all_reduce · add x · norm · gate_up · down · all_reduce · add · norm · qkv · kv_write
//   ops   reduce     parts   parts    ops      ops     reduce     parts  parts  ops  not row-wise
//   └────── segment ──────────┘       └────────────── segment ───────────┘      └─ segment
//                                       continues                                 continues
struct RowSegment {
  std::vector<int32_t> ops;  // ascending, without the reduction and the parts
  int32_t reduce = -1;       // the all-reduce of their result; −1: none
  // Sums and norms of the reduction's result, which each rank does on its own part of the rows.
  // Without parts the reduction gives all rows to all ranks.
  std::vector<int32_t> parts;
  // The ops among the reduction and the parts whose result other ops read, so that it is gathered.
  std::vector<int32_t> gathered;
  // The ops read the segment before chunk by chunk; else they need all of its rows.
  bool continues = false;
};

// The result of an op of such a segment is its last operand.
inline flow::Value output_of(const flow::Op& op) { return op.operands[op.operands.size() - 1]; }

struct SegmentOptions {
  bool continued = false;  // segments go on into the row-wise ops behind a reduction
  int32_t ranks = 1;       // over which a reduction can be cut in two halves; 1: it stays whole
};

// The segments of all all-reduces of `rows` rows, in program order. An op is in at most one
// segment.
std::vector<RowSegment> find_row_segments(const flow::Program& program, int64_t rows,
                                          const SegmentOptions& options);

}  // namespace braid::passes

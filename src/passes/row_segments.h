// Which ops of a step can be done chunk by chunk of rows around its reductions.
#pragma once

#include <vector>

#include "flow/program.h"

namespace braid::passes {

// Ops whose rows are cut alike, ascending, and what follows them on lane comm.
struct RowSegment {
  std::vector<int32_t> ops;  // without the reduction
  int32_t reduce = -1;       // the all-reduce of what they make; −1: none
  // Behind the reduction, on each rank's own part of the rows: sums and norms of its result.
  std::vector<int32_t> parts;
  // Of the reduction and the parts: the ops whose result others than parts read, so that it is
  // gathered. Without parts the reduction gives all rows to all ranks.
  std::vector<int32_t> gathered;
  // The ops read, chunk by chunk, what the segment before ends with.
  bool continues = false;
};

// What an op of such a segment makes: its last operand.
inline flow::Value output_of(const flow::Op& op) { return op.operands[op.operands.size() - 1]; }

struct SegmentOptions {
  bool continued = false;  // into the row-wise ops behind a reduction
  int32_t ranks = 1;       // that a reduction can be cut over into parts; 1: stays in one piece
};

// The segments of all all-reduces of `rows` rows, in program order. An op is in one segment at
// most.
std::vector<RowSegment> find_row_segments(const flow::Program& program, int64_t rows,
                                          const SegmentOptions& options);

}  // namespace braid::passes

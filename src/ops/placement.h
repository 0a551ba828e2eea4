// Rules of placement that op builders share. Each returns the placement of the result, and fails
// the builder where the operands' placements make no sense together.
#pragma once

#include "ops/builder.h"

namespace braid::ops {

// x [M, K] times W [N, K]: W row_sharded splits N (the result's columns), W col_sharded splits K
// together with x's columns and leaves a Partial. A Partial x and a W split on another mesh than
// x's are refused.
Placement product_placement(Builder& b, Value x, Value w);

// The same for rows grouped by slot. `offsets` has the grouping's placement: on an axis where each
// rank has slots of its own (row_sharded), W and the result hold the rows of these slots alone.
Placement grouped_product_placement(Builder& b, Value x, Value offsets, Value w);

// a + b: equal placements only, so that no replicated term gets into a sum that is reduced later.
Placement sum_placement(Builder& b, Value a, Value other);

// Checks operands of ops that need whole rows (norm, softmax): no Partial, no split columns.
void require_whole_rows(Builder& b, Value x, std::string_view rule);

}  // namespace braid::ops

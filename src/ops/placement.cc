#include "ops/placement.h"

namespace braid::ops {
namespace {

// Along one axis; false: the two don't go together.
bool product_shard(Shard x, Shard w, Shard& y) {
  if (w == Shard::replicated && (x == Shard::replicated || x == Shard::row_sharded)) {
    y = x;
  } else if (w == Shard::row_sharded && x == Shard::replicated) {
    y = Shard::col_sharded;
  } else if (w == Shard::col_sharded && x == Shard::col_sharded) {
    y = Shard::partial;
  } else {
    return false;
  }
  return true;
}

// A weight that is split, is so on the mesh of what it multiplies.
bool of_one_mesh(const Placement& x, const Placement& w) {
  const bool whole = w.axes[0] == Shard::replicated && w.axes[1] == Shard::replicated;
  return whole || x.mesh == w.mesh;
}

}  // namespace

Placement product_placement(Builder& b, Value x, Value w) {
  const Placement of_x = b.placement(x);
  const Placement of_w = b.placement(w);
  Placement result{.mesh = of_x.mesh};
  bool fits = of_one_mesh(of_x, of_w);
  for (size_t axis = 0; axis < 2; ++axis) {
    fits = product_shard(of_x.axes[axis], of_w.axes[axis], result.axes[axis]) && fits;
  }
  b.require(fits, "a product takes a whole or equally split inner dimension, never a Partial",
            {x, w});
  return result;
}

Placement grouped_product_placement(Builder& b, Value x, Value offsets, Value w) {
  const Placement of_x = b.placement(x);
  const Placement of_w = b.placement(w);
  const Placement slots = b.placement(offsets);
  Placement result{.mesh = of_x.mesh};
  bool fits = of_one_mesh(of_x, of_w) && slots.mesh == of_x.mesh;
  for (size_t axis = 0; axis < 2; ++axis) {
    const Shard of_rows = of_x.axes[axis];
    if (slots.axes[axis] == Shard::row_sharded) {
      fits = fits && of_w.axes[axis] == Shard::row_sharded &&
             (of_rows == Shard::replicated || of_rows == Shard::row_sharded);
      result.axes[axis] = Shard::row_sharded;
    } else {
      fits = product_shard(of_rows, of_w.axes[axis], result.axes[axis]) && fits;
    }
  }
  b.require(fits, "a rank multiplies its slots' rows with its slots' weights, never a Partial",
            {x, offsets, w});
  return result;
}

Placement sum_placement(Builder& b, Value a, Value other) {
  b.require(b.placement(a) == b.placement(other), "a sum takes terms of one placement", {a, other});
  return b.placement(a);
}

void require_whole_rows(Builder& b, Value x, std::string_view rule) {
  bool whole = true;
  for (const Shard shard : b.placement(x).axes) {
    whole = whole && (shard == Shard::replicated || shard == Shard::row_sharded);
  }
  b.require(whole, rule, {x});
}

}  // namespace braid::ops

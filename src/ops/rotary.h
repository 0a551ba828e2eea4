// Rotary position embedding.
#pragma once

#include "kernels/rotary/rotary_desc.h"
#include "ops/builder.h"

namespace braid::ops {

using kernels::RotaryDesc;

struct RotaryTableOperand {
  enum : size_t { positions, inverse_frequencies, table, num_operands };
};

// positions i32 [T, 1], inverse_frequencies f32 [1, dims / 2] → cos | sin, f32 [T, dims].
Value rotary_table(Builder& b, Value positions, Value inverse_frequencies, float multiplier);

struct RotaryOperand {
  enum : size_t { table, x, num_operands };
};

// Rotates x [T, heads · head_dim] in place.
void rotary(Builder& b, Value x, Value table, const RotaryDesc& desc);

}  // namespace braid::ops

template <>
const braid::flow::KindInfo& braid::flow::kind_of<braid::kernels::RotaryTableDesc>();
template <>
const braid::flow::KindInfo& braid::flow::kind_of<braid::kernels::RotaryDesc>();

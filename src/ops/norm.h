// RMSNorm.
#pragma once

#include "kernels/norm/norm_desc.h"
#include "ops/builder.h"

namespace braid::ops {

struct RmsNormOperand {
  enum : size_t { x, weight, y, num_operands };
};

// w · x / rms(x) over whole rows: x [T, H], w [1, H] → [T, H].
Value rms_norm(Builder& b, Value x, Value w, float eps, std::string_view label);

// The same over every group of `group` columns (a head), in place.
void rms_norm_heads(Builder& b, Value x, Value w, float eps, int32_t group);

// a, b [T, H], weight [1, H] → sum, y [T, H]. passes::fuse_norm makes it of add and rms_norm.
struct AddRmsNormOperand {
  enum : size_t { a, b, weight, sum, y, num_operands };
};

}  // namespace braid::ops

template <>
const braid::flow::KindInfo& braid::flow::kind_of<braid::kernels::RmsNormDesc>();
template <>
const braid::flow::KindInfo& braid::flow::kind_of<braid::kernels::AddRmsNormDesc>();

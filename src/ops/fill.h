// Made-up numbers. No step has this kind: it fills weights before the first one.
#pragma once

#include "flow/kind.h"
#include "kernels/fill/fill_desc.h"

namespace braid::ops {

// out: [R, C] f32 or bf16.
struct FillUniformOperand {
  enum : size_t { out, num_operands };
};

}  // namespace braid::ops

template <>
const braid::flow::KindInfo& braid::flow::kind_of<braid::kernels::UniformDesc>();

// Choice of the next token.
#pragma once

#include "kernels/sample/sample_desc.h"
#include "ops/builder.h"

namespace braid::ops {

// How each row is sampled: step inputs, one row a sampled token.
struct SamplingRows {
  Value temperature;  // f32 [R, 1]
  Value top_p;        // f32 [R, 1]
  Value top_k;        // i32 [R, 1]
  Value seed;         // u64 [R, 1]
  Value position;     // i32 [R, 1], of the token that is chosen
};

struct SampleOperand {
  enum : size_t { logits, temperature, top_p, top_k, seed, position, ids, num_operands };
};

// logits f32 [R, V] → `into` i32 [R, 1].
void sample(Builder& b, Value logits, const SamplingRows& rows, Value into);

}  // namespace braid::ops

template <>
const braid::flow::KindInfo& braid::flow::kind_of<braid::kernels::SampleDesc>();

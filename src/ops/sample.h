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
  Value log_min_p;    // f32 [R, 1], ln of min_p
};

struct SampleOperand {
  enum : size_t { logits, temperature, top_p, top_k, seed, position, log_min_p, ids, num_operands };
};

// logits f32 [R, V] → `into` i32 [R, 1].
void sample(Builder& b, Value logits, const SamplingRows& rows, Value into);

// Which biases and penalties each row gets, and where its tokens are: step inputs.
struct AdjustedRows {
  Value sequence;     // i32 [R, 1], row of the block table
  Value prompt_size;  // i32 [R, 1], tokens before the answer
  Value penalties;    // f32 [R, Penalties::num_columns]
  Value bias_ids;     // i32 [R, B], −1 behind the last one
  Value biases;       // f32 [R, B]
};

struct AdjustLogitsOperand {
  enum : size_t {
    logits,
    history,
    block_table,
    sequence,
    position,
    prompt_size,
    penalties,
    bias_ids,
    biases,
    out,
    num_operands
  };
};

// logits f32 [R, V] → f32 [R, V]. history: what input_ids() keeps; position: SamplingRows'.
Value adjust_logits(Builder& b, Value logits, Value history, Value block_table, Value position,
                    const AdjustedRows& rows, const kernels::AdjustLogitsDesc& desc);

struct TopLogprobsOperand {
  enum : size_t { logits, chosen, wanted, logprobs, ids, num_operands };
};

// logits f32 [R, V], chosen and wanted i32 [R, 1] → logprobs f32 [R, 1 + kMaxTopLogprobs], ids i32
// [R, kMaxTopLogprobs].
void top_logprobs(Builder& b, Value logits, Value chosen, Value wanted, Value logprobs, Value ids);

}  // namespace braid::ops

template <>
const braid::flow::KindInfo& braid::flow::kind_of<braid::kernels::SampleDesc>();
template <>
const braid::flow::KindInfo& braid::flow::kind_of<braid::kernels::AdjustLogitsDesc>();
template <>
const braid::flow::KindInfo& braid::flow::kind_of<braid::kernels::TopLogprobsDesc>();

// Rows in fewer bits on their way between ranks.
#pragma once

#include "kernels/quantize/quantize_desc.h"
#include "ops/builder.h"

namespace braid::ops {

using kernels::Payload;

constexpr Format scale_format(Payload payload) {
  return payload == Payload::fp8 ? Format::f32 : Format::u8;
}

struct QuantizedRows {
  Value payload;  // u8 [T, payload_columns(H)]
  Value scales;   // [T, scale_columns(H)]
  Value errors;   // f64 [T, 2]: Σ (x̂ − x)², Σ x² of each row
};

struct QuantizeRowsOperand {
  enum : size_t { x, payload, scales, errors, num_operands };
};

// Whole rows x [T, H].
QuantizedRows quantize_rows(Builder& b, Value x, Payload payload);

struct DequantizeRowsOperand {
  enum : size_t { payload, scales, out, num_operands };
};

// Into `out` [T, H], of the same placement.
void dequantize_rows(Builder& b, Value payload, Value scales, Payload format, Value out);

struct SumErrorsOperand {
  enum : size_t { errors, ids, sums, num_operands };
};

// sums f64 [1, 2] += errors of the rows whose first id is not −1; ids i32 [T, K].
void sum_errors(Builder& b, Value errors, Value ids, Value sums);

}  // namespace braid::ops

template <>
const braid::flow::KindInfo& braid::flow::kind_of<braid::kernels::QuantizeRowsDesc>();
template <>
const braid::flow::KindInfo& braid::flow::kind_of<braid::kernels::DequantizeRowsDesc>();
template <>
const braid::flow::KindInfo& braid::flow::kind_of<braid::kernels::SumErrorsDesc>();

#include "ops/quantize.h"

#include "ops/kind.h"
#include "ops/placement.h"

using braid::kernels::DequantizeRowsDesc;
using braid::kernels::QuantizeRowsDesc;
using braid::kernels::SumErrorsDesc;

namespace braid::ops {
namespace {

constexpr auto kQuantizeOperands = flow::operand_specs<QuantizeRowsOperand>({
    {QuantizeRowsOperand::x, "x"},
    {QuantizeRowsOperand::payload, "payload", Access::write},
    {QuantizeRowsOperand::scales, "scales", Access::write},
    {QuantizeRowsOperand::errors, "errors", Access::write},
});
constexpr auto kDequantizeOperands = flow::operand_specs<DequantizeRowsOperand>({
    {DequantizeRowsOperand::payload, "payload"},
    {DequantizeRowsOperand::scales, "scales"},
    {DequantizeRowsOperand::out, "out", Access::write},
});
constexpr auto kSumOperands = flow::operand_specs<SumErrorsOperand>({
    {SumErrorsOperand::errors, "errors"},
    {SumErrorsOperand::ids, "ids"},
    {SumErrorsOperand::sums, "sums", Access::read_write, Slicing::whole},
});

constexpr KindInfo kQuantize = {
    .name = "quantize", .operands = kQuantizeOperands, .work = moves_operands};
constexpr KindInfo kDequantize = {
    .name = "dequantize", .operands = kDequantizeOperands, .work = moves_operands};
constexpr KindInfo kSumErrors = {
    .name = "sum_errors", .operands = kSumOperands, .row_invariant = false, .work = moves_operands};

}  // namespace
}  // namespace braid::ops

template <>
const braid::flow::KindInfo& braid::flow::kind_of<QuantizeRowsDesc>() {
  return ops::kQuantize;
}

template <>
const braid::flow::KindInfo& braid::flow::kind_of<DequantizeRowsDesc>() {
  return ops::kDequantize;
}

template <>
const braid::flow::KindInfo& braid::flow::kind_of<SumErrorsDesc>() {
  return ops::kSumErrors;
}

namespace braid::ops {

QuantizedRows quantize_rows(Builder& b, Value x, Payload payload) {
  require_whole_rows(b, x, "whole, fully reduced rows are quantized");
  b.require(!b.info(x).count.present(), "all rows are quantized", {x});
  const int64_t rows = b.num_rows(x), cols = b.num_cols(x);
  const Placement placement = b.placement(x);
  const QuantizedRows out = {
      b.step("payload", Format::u8, rows, kernels::payload_columns(payload, cols), placement),
      b.step("scales", scale_format(payload), rows, kernels::scale_columns(payload, cols),
             placement),
      b.step("row_errors", Format::f64, rows, 2, placement)};
  b.emit(QuantizeRowsDesc{.payload = payload}, {{QuantizeRowsOperand::x, x},
                                                {QuantizeRowsOperand::payload, out.payload},
                                                {QuantizeRowsOperand::scales, out.scales},
                                                {QuantizeRowsOperand::errors, out.errors}});
  return out;
}

void dequantize_rows(Builder& b, Value payload, Value scales, Payload format, Value out) {
  const int64_t rows = b.num_rows(out), cols = b.num_cols(out);
  const bool fits = b.format(payload) == Format::u8 && b.num_rows(payload) == rows &&
                    b.num_cols(payload) == kernels::payload_columns(format, cols) &&
                    b.format(scales) == scale_format(format) && b.num_rows(scales) == rows &&
                    b.num_cols(scales) == kernels::scale_columns(format, cols);
  b.require(fits, "payload and scales are those of the rows", {payload, scales, out});
  b.require(b.placement(payload) == b.placement(out) && b.placement(scales) == b.placement(out),
            "quantized rows stay where they are", {payload, scales, out});
  b.emit(DequantizeRowsDesc{.payload = format}, {{DequantizeRowsOperand::payload, payload},
                                                 {DequantizeRowsOperand::scales, scales},
                                                 {DequantizeRowsOperand::out, out}});
}

void sum_errors(Builder& b, Value errors, Value ids, Value sums) {
  b.require(b.format(errors) == Format::f64 && b.num_cols(errors) == 2 &&
                b.num_rows(errors) == b.num_rows(ids) && b.format(ids) == Format::i32,
            "an error and the ids of every row", {errors, ids});
  b.require(b.format(sums) == Format::f64 && b.num_rows(sums) == 1 && b.num_cols(sums) == 2,
            "one pair of sums", {sums});
  b.emit(SumErrorsDesc{}, {{SumErrorsOperand::errors, errors},
                           {SumErrorsOperand::ids, ids},
                           {SumErrorsOperand::sums, sums}});
}

}  // namespace braid::ops

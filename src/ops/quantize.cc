#include "ops/quantize.h"

#include "ops/kind.h"
#include "ops/placement.h"

using braid::flow::Access;
using braid::flow::KindInfo;
using braid::flow::OperandSpec;
using braid::flow::Slicing;
using braid::kernels::DequantizeRowsDesc;
using braid::kernels::QuantizeRowsDesc;
using braid::kernels::SumErrorsDesc;

namespace {

constexpr OperandSpec kQuantizeOperands[] = {
    {"x"}, {"payload", Access::write}, {"scales", Access::write}, {"errors", Access::write}};
constexpr OperandSpec kDequantizeOperands[] = {{"payload"}, {"scales"}, {"out", Access::write}};
constexpr OperandSpec kSumOperands[] = {
    {"errors"}, {"ids"}, {"sums", Access::read_write, Slicing::whole}};

constexpr KindInfo kQuantize = {
    .name = "quantize", .operands = kQuantizeOperands, .work = braid::ops::moves_operands};
constexpr KindInfo kDequantize = {
    .name = "dequantize", .operands = kDequantizeOperands, .work = braid::ops::moves_operands};
constexpr KindInfo kSumErrors = {.name = "sum_errors",
                                 .operands = kSumOperands,
                                 .row_invariant = false,
                                 .work = braid::ops::moves_operands};

}  // namespace

template <>
const KindInfo& braid::flow::kind_of<QuantizeRowsDesc>() {
  return kQuantize;
}

template <>
const KindInfo& braid::flow::kind_of<DequantizeRowsDesc>() {
  return kDequantize;
}

template <>
const KindInfo& braid::flow::kind_of<SumErrorsDesc>() {
  return kSumErrors;
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
  b.emit(QuantizeRowsDesc{.payload = payload}, {x, out.payload, out.scales, out.errors});
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
  b.emit(DequantizeRowsDesc{.payload = format}, {payload, scales, out});
}

void sum_errors(Builder& b, Value errors, Value ids, Value sums) {
  b.require(b.format(errors) == Format::f64 && b.num_cols(errors) == 2 &&
                b.num_rows(errors) == b.num_rows(ids) && b.format(ids) == Format::i32,
            "an error and the ids of every row", {errors, ids});
  b.require(b.format(sums) == Format::f64 && b.num_rows(sums) == 1 && b.num_cols(sums) == 2,
            "one pair of sums", {sums});
  b.emit(SumErrorsDesc{}, {errors, ids, sums});
}

}  // namespace braid::ops

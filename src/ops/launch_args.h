// Operands as kernels take them: what the launchers of every device share.
#pragma once

#include "flow/launcher.h"
#include "kernels/attention/paged_rows.h"
#include "kernels/moe/experts_down_args.h"
#include "kernels/moe/route_args.h"
#include "kernels/quantize/quantized_rows.h"
#include "kernels/rows/input_ids_args.h"
#include "kernels/sample/adjust_args.h"
#include "ops/moe.h"

namespace braid::ops {

template <typename T>
kernels::Matrix<T> matrix(const flow::Arg& arg) {
  return {reinterpret_cast<T*>(arg.data), arg.stride / static_cast<int64_t>(sizeof(T))};
}

template <typename T>
T* pointer(const flow::Arg& arg) {
  return reinterpret_cast<T*>(arg.data);
}

// Calls body with a value of the storage type of `format`: float or bf16.
template <typename Body>
void with_type(Format format, Body&& body) {
  if (format == Format::f32) return body(float{});
  body(bf16{});
}

// Refuses operands that are not f32 or bf16, or not of one format. Messages begin with `device`:
// "the CPU".
Status need_equal_formats(std::string_view device, std::initializer_list<flow::Type> types);

// Where the rows of an op are that reads the paged cache: `Operand` is its kind's.
template <typename Operand>
kernels::PagedRows paged_rows(flow::Args args) {
  const flow::Arg& table = args[Operand::block_table];
  return {.rows = args[Operand::sequences].rows,
          .sequences = pointer<const int32_t>(args[Operand::sequences]),
          .positions = pointer<const int32_t>(args[Operand::positions]),
          .block_table = matrix<const int32_t>(table),
          .num_sequences = table.rows,
          .num_blocks = table.cols};
}

// Operands of a RouteDesc or a RouteExpertsDesc: `Operand` is RouteOperand or RouteExpertsOperand.
template <typename Operand>
kernels::RouteArgs route_args(flow::Args args) {
  const flow::Arg& logits = args[Operand::logits];
  return {.rows = logits.rows,
          .logits = matrix<const float>(logits),
          .bias = pointer<const float>(args[Operand::bias]),
          .slots = pointer<const int32_t>(args[Operand::kv_slots]),
          .forced = matrix<const int32_t>(args[Operand::forced]),
          .popularity = pointer<const float>(args[Operand::popularity]),
          .first_row = logits.first_row,
          .ids = matrix<int32_t>(args[Operand::ids]),
          .weights = matrix<float>(args[Operand::weights]),
          .heat = matrix<uint64_t>(args[Operand::heat])};
}

// Operands of an ExpertsDownDesc.
template <typename T>
kernels::ExpertsDownArgs<T> experts_down_args(flow::Args args) {
  using Operand = ExpertsDownOperand;
  const flow::Arg &x = args[Operand::x], &out = args[Operand::out];
  return {.rows = out.rows,
          .n = out.cols,
          .k = x.cols,
          .top_k = args[Operand::weights].cols,
          .grouped_rows = x.rows,
          .x = matrix<const T>(x),
          .offsets = pointer<const int32_t>(args[Operand::offsets]),
          .w = matrix<const T>(args[Operand::weight]),
          .places = matrix<const int32_t>(args[Operand::places]),
          .weights = matrix<const float>(args[Operand::weights]),
          .addends = {.shared = matrix<const T>(args[Operand::shared]),
                      .residual = matrix<const T>(args[Operand::residual])},
          .out = matrix<T>(out)};
}

inline int64_t experts_down_workspace(const kernels::ExpertsDownDesc& /*desc*/,
                                      std::span<const flow::Type> types) {
  const flow::Type& out = types[ExpertsDownOperand::out];
  return kernels::experts_down_scratch_bytes(types[ExpertsDownOperand::x].rows, out.cols,
                                             bytes_of(out.format));
}

// Operands of an InputIdsDesc.
kernels::InputIdsArgs input_ids_args(flow::Args args);
// Operands of an AdjustLogitsDesc.
kernels::AdjustArgs adjust_args(flow::Args args);

// The table of a PermuteDesc; without slots where it is absent.
inline kernels::SlotTable slot_table(const flow::Arg& arg) {
  return {pointer<const int32_t>(arg), static_cast<int32_t>(arg.cols)};
}

// The strides of both are counted in bytes.
template <typename Byte>
kernels::QuantizedRows<Byte> quantized_rows(const flow::Arg& payload, const flow::Arg& scales) {
  return {matrix<Byte>(payload), matrix<Byte>(scales)};
}

}  // namespace braid::ops

#include "ops/norm.h"

#include "ops/kind.h"
#include "ops/placement.h"

using braid::kernels::AddRmsNormDesc;
using braid::kernels::RmsNormDesc;

namespace braid::ops {
namespace {

// x may be the same memory as y: an op with both reads and writes it.
constexpr auto kNormOperands = flow::operand_specs<RmsNormOperand>({
    {RmsNormOperand::x, "x"},
    {RmsNormOperand::weight, "weight", Access::read, Slicing::whole},
    {RmsNormOperand::y, "y", Access::write},
});
constexpr auto kAddNormOperands = flow::operand_specs<AddRmsNormOperand>({
    {AddRmsNormOperand::a, "a"},
    {AddRmsNormOperand::b, "b"},
    {AddRmsNormOperand::weight, "weight", Access::read, Slicing::whole},
    {AddRmsNormOperand::sum, "sum", Access::write},
    {AddRmsNormOperand::y, "y", Access::write},
});
constexpr KindInfo kRmsNorm = {
    .name = "rms_norm", .operands = kNormOperands, .work = moves_operands};
constexpr KindInfo kAddRmsNorm = {
    .name = "add_rms_norm", .operands = kAddNormOperands, .work = moves_operands};

}  // namespace
}  // namespace braid::ops

template <>
const braid::flow::KindInfo& braid::flow::kind_of<RmsNormDesc>() {
  return ops::kRmsNorm;
}

template <>
const braid::flow::KindInfo& braid::flow::kind_of<AddRmsNormDesc>() {
  return ops::kAddRmsNorm;
}

namespace braid::ops {

Value rms_norm(Builder& b, Value x, Value w, float eps, std::string_view label) {
  require_whole_rows(b, x, "a norm takes whole, fully reduced rows");
  b.require(b.num_cols(w) == b.num_cols(x), "the norm's weight spans the row", {x, w});
  const Value y =
      b.step(label, b.format(x), b.num_rows(x), b.num_cols(x), b.placement(x), b.info(x).count);
  b.emit(RmsNormDesc{.eps = eps},
         {{RmsNormOperand::x, x}, {RmsNormOperand::weight, w}, {RmsNormOperand::y, y}});
  return y;
}

void rms_norm_heads(Builder& b, Value x, Value w, float eps, int32_t group) {
  b.require(!b.placement(x).is_partial(), "a norm takes fully reduced rows", {x});
  b.require(b.num_cols(w) == group && b.num_cols(x) % group == 0, "the norm's weight spans a head",
            {x, w});
  b.emit(RmsNormDesc{.eps = eps, .group = group},
         {{RmsNormOperand::x, x}, {RmsNormOperand::weight, w}, {RmsNormOperand::y, x}});
}

}  // namespace braid::ops

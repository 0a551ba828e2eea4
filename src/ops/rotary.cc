#include "ops/rotary.h"

#include "ops/kind.h"

using braid::kernels::RotaryDesc;
using braid::kernels::RotaryTableDesc;

namespace braid::ops {
namespace {

constexpr auto kTableOperands = flow::operand_specs<RotaryTableOperand>({
    {RotaryTableOperand::positions, "positions"},
    {RotaryTableOperand::inverse_frequencies, "inverse_frequencies", Access::read, Slicing::whole},
    {RotaryTableOperand::table, "table", Access::write},
});
constexpr KindInfo kTable = {
    .name = "rotary_table", .operands = kTableOperands, .work = moves_operands};

constexpr auto kRotaryOperands = flow::operand_specs<RotaryOperand>({
    {RotaryOperand::table, "table"},
    {RotaryOperand::x, "x", Access::read_write},
});
constexpr KindInfo kRotary = {
    .name = "rotary", .operands = kRotaryOperands, .work = moves_operands};

}  // namespace
}  // namespace braid::ops

template <>
const braid::flow::KindInfo& braid::flow::kind_of<RotaryTableDesc>() {
  return ops::kTable;
}

template <>
const braid::flow::KindInfo& braid::flow::kind_of<RotaryDesc>() {
  return ops::kRotary;
}

namespace braid::ops {

Value rotary_table(Builder& b, Value positions, Value inverse_frequencies, float multiplier) {
  const Value table = b.step("rotary_table", Format::f32, b.num_rows(positions),
                             2 * b.num_cols(inverse_frequencies), b.placement(positions));
  b.emit(RotaryTableDesc{.multiplier = multiplier},
         {{RotaryTableOperand::positions, positions},
          {RotaryTableOperand::inverse_frequencies, inverse_frequencies},
          {RotaryTableOperand::table, table}});
  return table;
}

void rotary(Builder& b, Value x, Value table, const RotaryDesc& desc) {
  b.require(!b.placement(x).is_partial(), "a rotation takes fully reduced rows", {x});
  b.require(b.num_cols(x) % desc.head_dim == 0 && desc.offset + desc.dims <= desc.head_dim &&
                b.num_cols(table) == desc.dims && b.num_rows(table) == b.num_rows(x),
            "rotated columns lie within every head", {x, table});
  b.emit(desc, {{RotaryOperand::table, table}, {RotaryOperand::x, x}});
}

}  // namespace braid::ops

#include "ops/rotary.h"

#include "ops/kind.h"

using braid::flow::Access;
using braid::flow::KindInfo;
using braid::flow::OperandSpec;
using braid::flow::Slicing;
using braid::kernels::RotaryDesc;
using braid::kernels::RotaryTableDesc;

namespace {

constexpr OperandSpec kTableOperands[] = {
    {"positions"}, {"inverse_frequencies", Access::read, Slicing::whole}, {"table", Access::write}};
constexpr KindInfo kTable = {
    .name = "rotary_table", .operands = kTableOperands, .work = braid::ops::moves_operands};

constexpr OperandSpec kRotaryOperands[] = {{"table"}, {"x", Access::read_write}};
constexpr KindInfo kRotary = {
    .name = "rotary", .operands = kRotaryOperands, .work = braid::ops::moves_operands};

}  // namespace

template <>
const KindInfo& braid::flow::kind_of<RotaryTableDesc>() {
  return kTable;
}

template <>
const KindInfo& braid::flow::kind_of<RotaryDesc>() {
  return kRotary;
}

namespace braid::ops {

Value rotary_table(Builder& b, Value positions, Value inverse_frequencies, float multiplier) {
  const Value table = b.step("rotary_table", Format::f32, b.num_rows(positions),
                             2 * b.num_cols(inverse_frequencies), b.placement(positions));
  b.emit(RotaryTableDesc{.multiplier = multiplier}, {positions, inverse_frequencies, table});
  return table;
}

void rotary(Builder& b, Value x, Value table, const RotaryDesc& desc) {
  b.require(!b.placement(x).is_partial(), "a rotation takes fully reduced rows", {x});
  b.require(b.num_cols(x) % desc.head_dim == 0 && desc.offset + desc.dims <= desc.head_dim &&
                b.num_cols(table) == desc.dims && b.num_rows(table) == b.num_rows(x),
            "rotated columns lie within every head", {x, table});
  b.emit(desc, {table, x});
}

}  // namespace braid::ops

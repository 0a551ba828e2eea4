#include "ops/route_experts.h"

#include "ops/kind.h"

namespace braid::ops {
namespace {

using Operand = RouteExpertsOperand;

constexpr auto kOperands = flow::operand_specs<Operand>({
    {Operand::x, "x"},
    {Operand::addend, "addend", Access::read, Slicing::rows, true},
    {Operand::norm_weight, "norm_weight", Access::read, Slicing::whole},
    {Operand::router, "router", Access::read, Slicing::whole},
    {Operand::bias, "bias", Access::read, Slicing::whole, true},
    {Operand::kv_slots, "kv_slots"},
    {Operand::forced, "forced", Access::read, Slicing::rows, true},
    {Operand::popularity, "popularity", Access::read, Slicing::whole, true},
    {Operand::table, "table", Access::read, Slicing::whole, true},
    {Operand::sum, "sum", Access::write, Slicing::rows, true},
    {Operand::normed, "normed", Access::write},
    {Operand::logits, "logits", Access::write},
    {Operand::ids, "ids", Access::write},
    {Operand::weights, "weights", Access::write},
    {Operand::heat, "heat", Access::read_write, Slicing::whole, true},
    {Operand::offsets, "offsets", Access::write, Slicing::whole},
    {Operand::source, "source", Access::write, Slicing::whole},
    {Operand::places, "places", Access::write, Slicing::whole},
});

Work work_of(const void* /*desc*/, std::span<const Type> types) {
  const Type &x = types[Operand::x], &router = types[Operand::router];
  return {.flop = 2.0 * static_cast<double>(x.rows * x.cols * router.rows), .bytes = bytes(types)};
}

constexpr KindInfo kRouteExperts = {
    .name = "route_experts", .operands = kOperands, .work = work_of};

}  // namespace
}  // namespace braid::ops

template <>
const braid::flow::KindInfo& braid::flow::kind_of<braid::kernels::RouteExpertsDesc>() {
  return ops::kRouteExperts;
}

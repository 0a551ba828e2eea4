#include "ops/moe.h"

#include <algorithm>

#include "ops/kind.h"
#include "ops/placement.h"

using braid::kernels::CombineDesc;
using braid::kernels::ExpertsDownDesc;
using braid::kernels::PermuteDesc;
using braid::kernels::RouteDesc;

namespace braid::ops {
namespace {

constexpr auto kRouteOperands = flow::operand_specs<RouteOperand>({
    {RouteOperand::logits, "logits"},
    {RouteOperand::bias, "bias", Access::read, Slicing::whole, true},
    {RouteOperand::kv_slots, "kv_slots"},
    {RouteOperand::forced, "forced", Access::read, Slicing::rows, true},
    {RouteOperand::popularity, "popularity", Access::read, Slicing::whole, true},
    {RouteOperand::ids, "ids", Access::write},
    {RouteOperand::weights, "weights", Access::write},
    {RouteOperand::heat, "heat", Access::read_write, Slicing::whole, true},
});
constexpr auto kPermuteOperands = flow::operand_specs<PermuteOperand>({
    {PermuteOperand::ids, "ids", Access::read, Slicing::whole},
    {PermuteOperand::table, "table", Access::read, Slicing::whole, true},
    {PermuteOperand::offsets, "offsets", Access::write, Slicing::whole},
    {PermuteOperand::source, "source", Access::write, Slicing::whole},
    {PermuteOperand::places, "places", Access::write, Slicing::whole},
});
constexpr auto kCombineOperands = flow::operand_specs<CombineOperand>({
    {CombineOperand::grouped, "grouped", Access::read, Slicing::whole},
    {CombineOperand::places, "places"},
    {CombineOperand::weights, "weights"},
    {CombineOperand::out, "out", Access::write},
});

constexpr auto kExpertsDownOperands = flow::operand_specs<ExpertsDownOperand>({
    {ExpertsDownOperand::x, "x", Access::read, Slicing::whole},
    {ExpertsDownOperand::offsets, "offsets", Access::read, Slicing::whole},
    {ExpertsDownOperand::weight, "weight", Access::read, Slicing::whole},
    {ExpertsDownOperand::places, "places"},
    {ExpertsDownOperand::weights, "weights"},
    {ExpertsDownOperand::shared, "shared", Access::read, Slicing::rows, true},
    {ExpertsDownOperand::residual, "residual", Access::read, Slicing::rows, true},
    {ExpertsDownOperand::out, "out", Access::write},
});

Work experts_down_work(const void* desc, std::span<const Type> types) {
  const auto& down = *static_cast<const ExpertsDownDesc*>(desc);
  const Type& x = types[ExpertsDownOperand::x];
  const Type& w = types[ExpertsDownOperand::weight];
  const double n = static_cast<double>(w.rows) / down.num_slots;
  const double active = std::min<double>(down.num_slots, static_cast<double>(x.rows));
  return {.flop = 2.0 * static_cast<double>(x.rows) * n * static_cast<double>(w.cols),
          .bytes = bytes(types) - bytes(w) * (1 - active / down.num_slots)};
}

constexpr KindInfo kRoute = {.name = "route", .operands = kRouteOperands, .work = moves_operands};
constexpr KindInfo kPermute = {
    .name = "permute", .operands = kPermuteOperands, .work = moves_operands};
constexpr KindInfo kCombine = {
    .name = "combine", .operands = kCombineOperands, .work = moves_operands};
constexpr KindInfo kExpertsDown = {
    .name = "experts_down", .operands = kExpertsDownOperands, .work = experts_down_work};

}  // namespace
}  // namespace braid::ops

template <>
const braid::flow::KindInfo& braid::flow::kind_of<RouteDesc>() {
  return ops::kRoute;
}

template <>
const braid::flow::KindInfo& braid::flow::kind_of<PermuteDesc>() {
  return ops::kPermute;
}

template <>
const braid::flow::KindInfo& braid::flow::kind_of<CombineDesc>() {
  return ops::kCombine;
}

template <>
const braid::flow::KindInfo& braid::flow::kind_of<ExpertsDownDesc>() {
  return ops::kExpertsDown;
}

namespace braid::ops {

Routing route(Builder& b, Value logits, Value kv_slots, const RouteDesc& desc,
              const RouteInputs& inputs) {
  require_whole_rows(b, logits, "routing takes whole, fully reduced scores");
  b.require(b.num_cols(logits) == desc.num_experts, "a score for every expert", {logits});
  const int64_t rows = b.num_rows(logits);
  Routing out = inputs.into;
  if (!out.ids.present()) {
    out.ids = b.step("expert_ids", Format::i32, rows, desc.top_k, b.placement(logits));
    out.weights = b.step("expert_weights", Format::f32, rows, desc.top_k, b.placement(logits));
  }
  b.emit(desc, {{RouteOperand::logits, logits},
                {RouteOperand::bias, inputs.bias},
                {RouteOperand::kv_slots, kv_slots},
                {RouteOperand::forced, inputs.forced},
                {RouteOperand::popularity, inputs.popularity},
                {RouteOperand::ids, out.ids},
                {RouteOperand::weights, out.weights}});
  return out;
}

Dispatched dispatch(Builder& b, Value x, const Routing& routing, const RankRows& ranks,
                    const ExpertSlots& slots) {
  const Placement& from = b.placement(x);
  if (from.axes[0] == Shard::row_sharded && ranks.kind == DispatchKind::all_to_all) {
    const ReceivedRows in =
        all_to_all_v(b, {x, routing.ids, routing.weights, {}}, ranks, slots.count);
    return {in.all.rows, {in.all.ids, in.all.weights}, in.way_back};
  }
  if (from.axes[0] == Shard::row_sharded) {
    const GatheredRows all = all_gather_v(b, {x, routing.ids, routing.weights, {}}, ranks);
    return {all.rows, {all.ids, all.weights}, {}};
  }
  b.require(from == Placement{}, "no collective moves these rows to the experts", {x});
  const Placement to{.mesh = flow::Mesh::moe};
  return {b.placed(x, to), {b.placed(routing.ids, to), b.placed(routing.weights, to)}, {}};
}

Permuted permute(Builder& b, const Dispatched& in, const ExpertSlots& slots, Value table) {
  const Value ids = in.routing.ids;
  require_whole_rows(b, ids, "experts are found by whole rows of ids");
  const bool spread = b.meshes().moe[0] > 1;
  b.require(spread || slots.first == 0, "a rank alone holds all experts", {ids});
  b.require(!table.present() || b.format(table) == Format::i32, "a table of slots", {table});
  Placement placement = b.placement(ids);
  placement.axes[0] = Shard::row_sharded;  // where there is more than one rank along moe_ep
  const int64_t capacity = b.num_rows(ids) * std::min<int64_t>(b.num_cols(ids), slots.count);
  const Value offsets = b.step("offsets", Format::i32, slots.count + 1, 1, placement);
  const Value source = b.step("source", Format::i32, capacity, 1, placement);
  const Value places = b.step("places", Format::i32, b.num_rows(ids), b.num_cols(ids), placement);
  b.emit(kernels::PermuteDesc{.num_slots = slots.count, .first_slot = slots.first},
         {{PermuteOperand::ids, ids},
          {PermuteOperand::table, table},
          {PermuteOperand::offsets, offsets},
          {PermuteOperand::source, source},
          {PermuteOperand::places, places}});
  return {{.rows = in.rows,
           .source = source,
           .offsets = offsets,
           .count = b.rows(offsets, slots.count, 1),
           .tokens = b.num_rows(ids)},
          places,
          in.routing.weights,
          in.way_back};
}

Value combine(Builder& b, const Grouped& grouped, const Permuted& in) {
  Placement placement = b.placement(grouped.rows);
  for (size_t axis = 0; axis < 2; ++axis) {  // each rank adds up the choices that it has
    const bool spread = b.placement(grouped.offsets).axes[axis] == Shard::row_sharded;
    const bool same_rows = b.placement(in.weights).axes[axis] == Shard::replicated;
    if (spread && same_rows) placement.axes[axis] = Shard::partial;
  }
  const Value out = b.step("routed", b.format(grouped.rows), b.num_rows(in.places),
                           b.num_cols(grouped.rows), placement);
  b.emit(kernels::CombineDesc{}, {{CombineOperand::grouped, b.uncounted(grouped.rows)},
                                  {CombineOperand::places, in.places},
                                  {CombineOperand::weights, in.weights},
                                  {CombineOperand::out, out}});
  return in.way_back.received.present() ? return_rows(b, out, in.way_back, "merged") : out;
}

}  // namespace braid::ops

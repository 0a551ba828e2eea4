#include "ops/moe.h"

#include <algorithm>

#include "ops/kind.h"
#include "ops/placement.h"

using braid::flow::Access;
using braid::flow::KindInfo;
using braid::flow::OperandSpec;
using braid::flow::Slicing;
using braid::kernels::CombineDesc;
using braid::kernels::PermuteDesc;
using braid::kernels::RouteDesc;

namespace {

constexpr OperandSpec kRouteOperands[] = {
    {"logits"},
    {"bias", Access::read, Slicing::whole, true},
    {"kv_slots"},
    {"forced", Access::read, Slicing::rows, true},
    {"popularity", Access::read, Slicing::whole, true},
    {"ids", Access::write},
    {"weights", Access::write},
    {"heat", Access::read_write, Slicing::whole, true},
};
constexpr OperandSpec kPermuteOperands[] = {
    {"ids", Access::read, Slicing::whole},
    {"offsets", Access::write, Slicing::whole},
    {"source", Access::write, Slicing::whole},
    {"places", Access::write, Slicing::whole},
};
constexpr OperandSpec kCombineOperands[] = {
    {"grouped", Access::read, Slicing::whole}, {"places"}, {"weights"}, {"out", Access::write}};

constexpr KindInfo kRoute = {
    .name = "route", .operands = kRouteOperands, .work = braid::ops::moves_operands};
constexpr KindInfo kPermute = {
    .name = "permute", .operands = kPermuteOperands, .work = braid::ops::moves_operands};
constexpr KindInfo kCombine = {
    .name = "combine", .operands = kCombineOperands, .work = braid::ops::moves_operands};

}  // namespace

template <>
const KindInfo& braid::flow::kind_of<RouteDesc>() {
  return kRoute;
}

template <>
const KindInfo& braid::flow::kind_of<PermuteDesc>() {
  return kPermute;
}

template <>
const KindInfo& braid::flow::kind_of<CombineDesc>() {
  return kCombine;
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
  b.emit(desc, {logits, inputs.bias, kv_slots, inputs.forced, inputs.popularity, out.ids,
                out.weights, Value{}});
  return out;
}

Dispatched dispatch(Builder& b, Value x, const Routing& routing, const RankRows& ranks) {
  const Placement& from = b.placement(x);
  if (from.axes[0] == Shard::row_sharded) {
    const GatheredRows all = all_gather_v(b, {x, routing.ids, routing.weights}, ranks);
    return {all.rows, {all.ids, all.weights}};
  }
  b.require(from == Placement{}, "no collective moves these rows to the experts", {x});
  const Placement to{.mesh = flow::Mesh::moe};
  return {b.placed(x, to), {b.placed(routing.ids, to), b.placed(routing.weights, to)}};
}

Permuted permute(Builder& b, const Dispatched& in, const ExpertSlots& slots) {
  const Value ids = in.routing.ids;
  require_whole_rows(b, ids, "experts are found by whole rows of ids");
  const bool spread = b.meshes().moe[0] > 1;
  b.require(spread || slots.first_expert == 0, "a rank alone holds all experts", {ids});
  Placement placement = b.placement(ids);
  placement.axes[0] = Shard::row_sharded;  // where there is more than one rank along moe_ep
  const int64_t capacity = b.num_rows(ids) * std::min<int64_t>(b.num_cols(ids), slots.count);
  const Value offsets = b.step("offsets", Format::i32, slots.count + 1, 1, placement);
  const Value source = b.step("source", Format::i32, capacity, 1, placement);
  const Value places = b.step("places", Format::i32, b.num_rows(ids), b.num_cols(ids), placement);
  b.emit(kernels::PermuteDesc{.num_slots = slots.count, .first_expert = slots.first_expert},
         {ids, offsets, source, places});
  return {{.rows = in.rows,
           .source = source,
           .offsets = offsets,
           .count = b.rows(offsets, slots.count, 1)},
          places,
          in.routing.weights};
}

Value combine(Builder& b, const Grouped& grouped, const Permuted& in) {
  Placement placement = b.placement(grouped.rows);
  for (size_t axis = 0; axis < 2; ++axis) {  // each rank adds up the choices that it has
    const bool spread = b.placement(grouped.offsets).axes[axis] == Shard::row_sharded;
    if (spread) placement.axes[axis] = Shard::partial;
  }
  const Value out = b.step("routed", b.format(grouped.rows), b.num_rows(in.places),
                           b.num_cols(grouped.rows), placement);
  b.emit(kernels::CombineDesc{}, {b.uncounted(grouped.rows), in.places, in.weights, out});
  return out;
}

}  // namespace braid::ops

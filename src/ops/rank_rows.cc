#include "ops/rank_rows.h"

#include "ops/kind.h"

using braid::ops::AllGatherVDesc;
using braid::ops::ReduceScatterVDesc;

namespace braid::ops {
namespace {

constexpr auto kGatherVOperands = flow::operand_specs<AllGatherVOperand>({
    {AllGatherVOperand::counts, "counts", Access::read, Slicing::whole},
    {AllGatherVOperand::rows, "rows", Access::read, Slicing::whole},
    {AllGatherVOperand::scales, "scales", Access::read, Slicing::whole, true},
    {AllGatherVOperand::ids, "ids", Access::read, Slicing::whole},
    {AllGatherVOperand::weights, "weights", Access::read, Slicing::whole},
    {AllGatherVOperand::all_rows, "all_rows", Access::write, Slicing::whole},
    {AllGatherVOperand::all_scales, "all_scales", Access::write, Slicing::whole, true},
    {AllGatherVOperand::all_ids, "all_ids", Access::write, Slicing::whole},
    {AllGatherVOperand::all_weights, "all_weights", Access::write, Slicing::whole},
});
constexpr auto kScatterVOperands = flow::operand_specs<ReduceScatterVOperand>({
    {ReduceScatterVOperand::counts, "counts", Access::read, Slicing::whole},
    {ReduceScatterVOperand::in, "in", Access::read, Slicing::whole},
    {ReduceScatterVOperand::out, "out", Access::write, Slicing::whole},
});

// As if all ranks had as many rows as they may have.
Work gather_v_work(const void* desc, std::span<const Type> types) {
  return ring_work(static_cast<const AllGatherVDesc*>(desc)->ranks,
                   bytes(types.subspan(AllGatherVOperand::all_rows)));
}

Work scatter_v_work(const void* desc, std::span<const Type> types) {
  const Type& in = types[ReduceScatterVOperand::in];
  return ring_work(static_cast<const ReduceScatterVDesc*>(desc)->ranks, bytes(in),
                   static_cast<double>(in.rows * in.cols));
}

constexpr KindInfo kGatherV =
    collective_kind<AllGatherVDesc, AllGatherVOperand::all_rows, AllGatherVOperand::num_operands>(
        "all_gather_v", kGatherVOperands, gather_v_work);
constexpr KindInfo kScatterV = collective_kind<ReduceScatterVDesc, ReduceScatterVOperand::in>(
    "reduce_scatter_v", kScatterVOperands, scatter_v_work);

}  // namespace
}  // namespace braid::ops

template <>
const braid::flow::KindInfo& braid::flow::kind_of<AllGatherVDesc>() {
  return ops::kGatherV;
}

template <>
const braid::flow::KindInfo& braid::flow::kind_of<ReduceScatterVDesc>() {
  return ops::kScatterV;
}

namespace braid::ops {
namespace {

constexpr Placement kOwnRows = {.axes = {Shard::row_sharded, Shard::replicated}};

// The communicator along dp and how many ranks it has; fails the builder where the rows of the
// ranks are not known.
MeshSizes::Sum along_dp(Builder& b, const RankRows& ranks, Value about) {
  const int32_t dp = b.meshes().attention[0];
  const int32_t communicator = b.meshes().attention_sums[0];
  b.require(dp > 1 && communicator >= 0, "a communicator joins the ranks along dp", {about});
  const bool known = ranks.counts.present() && b.num_rows(ranks.counts) == dp &&
                     b.num_cols(ranks.counts) == 1 && b.format(ranks.counts) == Format::i32;
  b.require(known, "the rows of all ranks along dp are known", {ranks.counts, about});
  b.require(ranks.own <= ranks.group, "no rank has more rows than the largest", {about});
  return {communicator, dp};
}

}  // namespace

GatheredRows all_gather_v(Builder& b, const GatheredRows& own, const RankRows& ranks) {
  const MeshSizes::Sum along = along_dp(b, ranks, own.rows);
  if (!ranks.counts.present()) return own;  // has failed
  for (const Value value : {own.rows, own.scales, own.ids, own.weights}) {
    if (!value.present()) continue;
    b.require(b.placement(value) == kOwnRows, "whole rows, different ones along dp, are gathered",
              {value});
    b.require(b.num_rows(value) == ranks.own && !b.info(value).count.present(),
              "all rows of a rank are gathered", {value});
  }
  b.require(b.format(own.ids) == Format::i32 && b.format(own.weights) == Format::f32 &&
                b.num_cols(own.ids) == b.num_cols(own.weights),
            "an id and a weight for every choice", {own.ids, own.weights});
  const int64_t capacity = along.ranks * ranks.group;
  const auto gathered = [&](Value value, std::string_view label) {
    if (!value.present()) return value;
    return b.step(label, b.format(value), capacity, b.num_cols(value), {.mesh = flow::Mesh::moe});
  };
  const GatheredRows all = {gathered(own.rows, "all_rows"), gathered(own.ids, "all_expert_ids"),
                            gathered(own.weights, "all_expert_weights"),
                            gathered(own.scales, "all_scales")};
  b.emit(AllGatherVDesc{.communicator = along.communicator, .ranks = along.ranks},
         {{AllGatherVOperand::counts, ranks.counts},
          {AllGatherVOperand::rows, own.rows},
          {AllGatherVOperand::scales, own.scales},
          {AllGatherVOperand::ids, own.ids},
          {AllGatherVOperand::weights, own.weights},
          {AllGatherVOperand::all_rows, all.rows},
          {AllGatherVOperand::all_scales, all.scales},
          {AllGatherVOperand::all_ids, all.ids},
          {AllGatherVOperand::all_weights, all.weights}});
  return all;
}

bool is_partial_over_experts(const Builder& b, Value x) {
  const Placement placement = b.placement(x);
  if (placement.mesh != flow::Mesh::moe || !placement.is_partial()) return false;
  for (size_t axis = 0; axis < 2; ++axis) {
    const bool several = b.meshes().moe[axis] > 1;
    if (several && placement.axes[axis] != Shard::partial) return false;
  }
  return true;
}

Value reduce_scatter_v(Builder& b, Value x, const RankRows& ranks, std::string_view label) {
  const MeshSizes::Sum along = along_dp(b, ranks, x);
  if (!ranks.counts.present()) return x;  // has failed
  b.require(is_partial_over_experts(b, x), "only what all ranks have a part of is scattered", {x});
  b.require(b.num_rows(x) == along.ranks * ranks.group && !b.info(x).count.present(),
            "the rows of all ranks are scattered", {x});
  const Value out = b.step(label, b.format(x), ranks.own, b.num_cols(x),
                           {.axes = {Shard::row_sharded, Shard::partial}});
  b.emit(ReduceScatterVDesc{.communicator = along.communicator, .ranks = along.ranks},
         {{ReduceScatterVOperand::counts, ranks.counts},
          {ReduceScatterVOperand::in, x},
          {ReduceScatterVOperand::out, out}});
  return out;
}

}  // namespace braid::ops

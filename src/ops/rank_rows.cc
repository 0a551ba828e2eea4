#include "ops/rank_rows.h"

#include "ops/kind.h"

using braid::flow::Access;
using braid::flow::KindInfo;
using braid::flow::OperandSpec;
using braid::flow::Slicing;
using braid::flow::Type;
using braid::flow::Work;
using braid::ops::AllGatherVDesc;
using braid::ops::GatherOperand;
using braid::ops::ReduceScatterVDesc;

namespace {

constexpr OperandSpec kGatherOperands[] = {
    {"counts", Access::read, Slicing::whole},
    {"rows", Access::read, Slicing::whole},
    {"scales", Access::read, Slicing::whole, true},
    {"ids", Access::read, Slicing::whole},
    {"weights", Access::read, Slicing::whole},
    {"all_rows", Access::write, Slicing::whole},
    {"all_scales", Access::write, Slicing::whole, true},
    {"all_ids", Access::write, Slicing::whole},
    {"all_weights", Access::write, Slicing::whole},
};
constexpr OperandSpec kScatterOperands[] = {{"counts", Access::read, Slicing::whole},
                                            {"in", Access::read, Slicing::whole},
                                            {"out", Access::write, Slicing::whole}};

// What a ring sends when all ranks have as many rows as they may have.
Work gather_work(const void* desc, std::span<const Type> types) {
  const double ranks = static_cast<const AllGatherVDesc*>(desc)->ranks;
  const double all = braid::ops::bytes(types.subspan(GatherOperand::all_rows));
  return {.flop = 0,
          .bytes = all * (1 + 1 / ranks),
          .link_bytes = (ranks - 1) / ranks * all,
          .messages = ranks - 1};
}

Work scatter_work(const void* desc, std::span<const Type> types) {
  const double ranks = static_cast<const ReduceScatterVDesc*>(desc)->ranks;
  const double all = braid::ops::bytes(types[1]);
  return {.flop = (ranks - 1) / ranks * static_cast<double>(types[1].rows * types[1].cols),
          .bytes = all * (1 + 1 / ranks),
          .link_bytes = (ranks - 1) / ranks * all,
          .messages = ranks - 1};
}

constexpr KindInfo kGather = braid::ops::collective_kind<AllGatherVDesc, GatherOperand::all_rows,
                                                         std::size(kGatherOperands)>(
    "all_gather_v", kGatherOperands, gather_work);
constexpr KindInfo kScatter = braid::ops::collective_kind<ReduceScatterVDesc, 1>(
    "reduce_scatter_v", kScatterOperands, scatter_work);

}  // namespace

template <>
const KindInfo& braid::flow::kind_of<AllGatherVDesc>() {
  return kGather;
}

template <>
const KindInfo& braid::flow::kind_of<ReduceScatterVDesc>() {
  return kScatter;
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
         {ranks.counts, own.rows, own.scales, own.ids, own.weights, all.rows, all.scales, all.ids,
          all.weights});
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
         {ranks.counts, x, out});
  return out;
}

}  // namespace braid::ops

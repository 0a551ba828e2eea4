#include "ops/collectives.h"

#include "ops/kind.h"

using braid::ops::AllGatherDesc;
using braid::ops::AllReduceDesc;

namespace braid::ops {
namespace {

constexpr auto kAllReduceOperands = flow::operand_specs<AllReduceOperand>({
    {AllReduceOperand::in, "in"},
    {AllReduceOperand::out, "out", Access::write},
});

// What a ring sends: each rank's part of the rows once in each of its two halves.
Work all_reduce_work(const void* desc, std::span<const Type> types) {
  const double ranks = static_cast<const AllReduceDesc*>(desc)->ranks;
  const Type& in = types[AllReduceOperand::in];
  return {.flop = (ranks - 1) / ranks * static_cast<double>(in.rows * in.cols),
          .bytes = bytes(types),
          .link_bytes = 2 * (ranks - 1) / ranks * bytes(in)};
}

// Each row's sum is its own, so that chunks of rows can be summed.
constexpr KindInfo kAllReduce = [] {
  KindInfo info = collective_kind<AllReduceDesc, AllReduceOperand::in>(
      "all_reduce", kAllReduceOperands, all_reduce_work);
  info.row_invariant = true;
  return info;
}();

constexpr auto kAllGatherOperands = flow::operand_specs<AllGatherOperand>({
    {AllGatherOperand::in, "in", Access::read, Slicing::whole},
    {AllGatherOperand::out, "out", Access::write, Slicing::whole},
});

// What a ring sends: every rank's rows once past each other rank.
Work all_gather_work(const void* desc, std::span<const Type> types) {
  const double ranks = static_cast<const AllGatherDesc*>(desc)->ranks;
  return {.flop = 0,
          .bytes = bytes(types),
          .link_bytes = (ranks - 1) * bytes(types[AllGatherOperand::in])};
}

constexpr KindInfo kAllGather = collective_kind<AllGatherDesc, AllGatherOperand::in>(
    "all_gather", kAllGatherOperands, all_gather_work);

}  // namespace
}  // namespace braid::ops

template <>
const braid::flow::KindInfo& braid::flow::kind_of<AllGatherDesc>() {
  return ops::kAllGather;
}

template <>
const braid::flow::KindInfo& braid::flow::kind_of<AllReduceDesc>() {
  return ops::kAllReduce;
}

namespace braid::ops {

Value all_reduce(Builder& b, Value x, std::string_view label, ReduceMethod method) {
  Placement placement = b.placement(x);
  b.require(placement.is_partial(), "only a Partial is reduced, and that once", {x});
  b.require(!b.info(x).count.present(), "all ranks know how many rows a collective has", {x});
  const MeshSizes::Sum sum = b.meshes().sum_over(placement);
  b.require(!placement.is_partial() || sum.communicator >= 0, "a communicator sums over these axes",
            {x});
  for (Shard& shard : placement.axes) {
    if (shard == Shard::partial) shard = Shard::replicated;
  }
  const Value out = b.step(label, b.format(x), b.num_rows(x), b.num_cols(x), placement);
  b.emit(AllReduceDesc{.communicator = sum.communicator, .ranks = sum.ranks, .method = method},
         {{AllReduceOperand::in, x}, {AllReduceOperand::out, out}});
  return out;
}

Value all_gather(Builder& b, Value x, size_t axis, std::string_view label) {
  Placement placement = b.placement(x);
  Shard& shard = placement.axes[axis];
  b.require(shard == Shard::row_sharded || shard == Shard::col_sharded,
            "only what is split over the ranks is gathered from them", {x});
  b.require(!placement.is_partial(), "what is gathered is fully reduced", {x});
  b.require(!b.info(x).count.present(), "all ranks know how many rows a collective has", {x});
  Placement along{.mesh = placement.mesh};
  along.axes[axis] = Shard::partial;  // the group that would sum along this axis alone
  const MeshSizes::Sum group = b.meshes().sum_over(along);
  b.require(group.communicator >= 0, "a communicator joins the ranks along this axis", {x});
  shard = Shard::replicated;
  const Value out =
      b.step(label, b.format(x), group.ranks * b.num_rows(x), b.num_cols(x), placement);
  b.emit(AllGatherDesc{.communicator = group.communicator, .ranks = group.ranks},
         {{AllGatherOperand::in, x}, {AllGatherOperand::out, out}});
  return out;
}

}  // namespace braid::ops

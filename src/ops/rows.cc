#include "ops/rows.h"

#include <algorithm>

#include "ops/collectives.h"
#include "ops/kind.h"
#include "ops/placement.h"

using braid::kernels::AddDesc;
using braid::kernels::CopyDesc;
using braid::kernels::GatherRowsDesc;
using braid::kernels::InputIdsDesc;
using braid::kernels::JoinColumnsDesc;
using braid::kernels::ReadBackDesc;

namespace braid::ops {
namespace {

constexpr auto kGatherOperands = flow::operand_specs<GatherRowsOperand>({
    {GatherRowsOperand::table, "table", Access::read, Slicing::whole},
    {GatherRowsOperand::index, "index"},
    {GatherRowsOperand::out, "out", Access::write},
});

Work gather_work(const void* /*desc*/, std::span<const Type> types) {
  return {.flop = 0, .bytes = 2 * bytes(types[GatherRowsOperand::out])};
}

constexpr auto kIdsOperands = flow::operand_specs<InputIdsOperand>({
    {InputIdsOperand::given, "given"},
    {InputIdsOperand::source, "source"},
    {InputIdsOperand::sampled, "sampled", Access::read, Slicing::whole},
    {InputIdsOperand::kv_slots, "kv_slots"},
    {InputIdsOperand::out, "out", Access::write},
    {InputIdsOperand::history, "history", Access::read_write, Slicing::whole},  // others stay
});
constexpr auto kJoinOperands = flow::operand_specs<JoinColumnsOperand>({
    {JoinColumnsOperand::in, "in", Access::read, Slicing::whole},
    {JoinColumnsOperand::out, "out", Access::write, Slicing::whole},
});
constexpr auto kAddOperands = flow::operand_specs<AddOperand>({
    {AddOperand::a, "a"},
    {AddOperand::b, "b"},
    {AddOperand::out, "out", Access::write},
});
constexpr auto kCopyOperands = flow::operand_specs<CopyOperand>({
    {CopyOperand::in, "in"},
    {CopyOperand::out, "out", Access::write},
});

constexpr KindInfo kGather = {
    .name = "gather_rows", .operands = kGatherOperands, .work = gather_work};
Work ids_work(const void* /*desc*/, std::span<const Type> types) {
  return {.flop = 0, .bytes = 5 * bytes(types[InputIdsOperand::out])};
}
constexpr KindInfo kIds = {.name = "input_ids", .operands = kIdsOperands, .work = ids_work};
constexpr KindInfo kJoin = {
    .name = "join_columns", .operands = kJoinOperands, .work = moves_operands};
constexpr KindInfo kAdd = {.name = "add", .operands = kAddOperands, .work = moves_operands};
constexpr KindInfo kCopy = {.name = "copy", .operands = kCopyOperands, .work = moves_operands};
constexpr KindInfo kReadBack = {.name = "read_back",
                                .operands = kCopyOperands,
                                .home = flow::Lane::copy,
                                .work = moves_operands};

}  // namespace
}  // namespace braid::ops

template <>
const braid::flow::KindInfo& braid::flow::kind_of<GatherRowsDesc>() {
  return ops::kGather;
}

template <>
const braid::flow::KindInfo& braid::flow::kind_of<InputIdsDesc>() {
  return ops::kIds;
}

template <>
const braid::flow::KindInfo& braid::flow::kind_of<JoinColumnsDesc>() {
  return ops::kJoin;
}

template <>
const braid::flow::KindInfo& braid::flow::kind_of<AddDesc>() {
  return ops::kAdd;
}

template <>
const braid::flow::KindInfo& braid::flow::kind_of<CopyDesc>() {
  return ops::kCopy;
}

template <>
const braid::flow::KindInfo& braid::flow::kind_of<ReadBackDesc>() {
  return ops::kReadBack;
}

namespace braid::ops {

Value gather_rows(Builder& b, Value table, Value index, std::string_view label, Value count) {
  require_whole_rows(b, table, "rows are gathered from whole rows");
  const Value out = b.step(label, b.format(table), b.num_rows(index), b.num_cols(table),
                           b.placement(index), count);
  b.emit(kernels::GatherRowsDesc{}, {{GatherRowsOperand::table, table},
                                     {GatherRowsOperand::index, index},
                                     {GatherRowsOperand::out, out}});
  return out;
}

Value look_up(Builder& b, Value table, Value index, const kernels::GatherRowsDesc& here,
              std::string_view label) {
  Placement placement = b.placement(index);
  const Placement of_table = b.placement(table);
  bool fits = !placement.is_partial();
  for (size_t axis = 0; axis < 2; ++axis) {
    if (of_table.axes[axis] == Shard::replicated) continue;
    fits = fits && of_table.axes[axis] == Shard::row_sharded && of_table.mesh == placement.mesh &&
           placement.axes[axis] == Shard::replicated;
    placement.axes[axis] = Shard::partial;
  }
  b.require(fits, "whole rows are looked up, by all ranks that share the table alike",
            {table, index});
  b.require(here.first >= 0 && here.count <= b.num_rows(table), "a rank looks up rows that it has",
            {table});
  const Value out = b.step(label, b.format(table), b.num_rows(index), b.num_cols(table), placement);
  b.emit(here, {{GatherRowsOperand::table, table},
                {GatherRowsOperand::index, index},
                {GatherRowsOperand::out, out}});
  return out;
}

Value input_ids(Builder& b, Value given, Value source, Value sampled, Value kv_slots,
                Value history) {
  b.require(b.num_rows(given) == b.num_rows(source), "every id is given or has a source",
            {given, source});
  b.require(b.num_rows(given) == b.num_rows(kv_slots), "every id has a slot, or is padding",
            {given, kv_slots});
  const Value out = b.step("input_ids", Format::i32, b.num_rows(given), 1, b.placement(given), {});
  b.emit(kernels::InputIdsDesc{}, {{InputIdsOperand::given, given},
                                   {InputIdsOperand::source, source},
                                   {InputIdsOperand::sampled, sampled},
                                   {InputIdsOperand::kv_slots, kv_slots},
                                   {InputIdsOperand::out, out},
                                   {InputIdsOperand::history, history}});
  return out;
}

Value gather_columns(Builder& b, Value x, int64_t cols, std::string_view label) {
  const Placement placement = b.placement(x);
  const auto sharded = std::find(placement.axes.begin(), placement.axes.end(), Shard::col_sharded);
  if (sharded == placement.axes.end()) {
    b.require(b.num_cols(x) == cols, "a rank that has all columns has no pads", {x});
    return x;
  }
  const auto axis = static_cast<size_t>(sharded - placement.axes.begin());
  const int32_t ranks = b.meshes().of(placement.mesh)[axis];
  b.require((cols + ranks - 1) / ranks <= b.num_cols(x), "every rank has its columns", {x});
  const Value parts = all_gather(b, b.uncounted(x), axis, label);
  const Value out =
      b.step(label, b.format(x), b.num_rows(x), cols, b.placement(parts), b.info(x).count);
  b.emit(kernels::JoinColumnsDesc{.parts = ranks},
         {{JoinColumnsOperand::in, parts}, {JoinColumnsOperand::out, out}});
  return out;
}

Value add(Builder& b, Value a, Value other, std::string_view label) {
  b.require(b.num_rows(a) == b.num_rows(other) && b.num_cols(a) == b.num_cols(other) &&
                b.format(a) == b.format(other),
            "a sum takes terms of one shape and format", {a, other});
  const Value out = b.step(label, b.format(a), b.num_rows(a), b.num_cols(a),
                           sum_placement(b, a, other), b.info(a).count);
  b.emit(kernels::AddDesc{}, {{AddOperand::a, a}, {AddOperand::b, other}, {AddOperand::out, out}});
  return out;
}

namespace {

// Whether the term, once its Partial axes are reduced, is at `target`. Meshes can be told apart
// only where something is split.
bool gets_to(const Placement& term, const Placement& target) {
  if (target.is_partial()) return term == target;
  for (size_t axis = 0; axis < 2; ++axis) {
    const Shard from = term.axes[axis];
    const Shard to = target.axes[axis];
    const bool whole = from == Shard::replicated || from == Shard::partial;
    if (to == Shard::replicated ? !whole : from != to || term.mesh != target.mesh) return false;
  }
  return true;
}

}  // namespace

Value sum_to(Builder& b, std::initializer_list<Value> terms, Placement placement,
             std::string_view label, const RankRows& ranks) {
  struct LikeTerms {
    MeshSizes::Sum over;
    Value sum;
  };
  InlineVector<LikeTerms, 4> sums;
  const bool scatters = placement.axes[0] == Shard::row_sharded;
  for (Value term : terms) {
    if (scatters && is_partial_over_experts(b, term)) {
      term = reduce_scatter_v(b, term, ranks, label);
    }
    b.require(gets_to(b.placement(term), placement), "a term can be reduced to the sum's placement",
              {term});
    const MeshSizes::Sum over = b.meshes().sum_over(b.placement(term));
    auto* like = std::find_if(sums.begin(), sums.end(),
                              [&](const LikeTerms& found) { return found.over == over; });
    if (like == sums.end()) {
      sums.push_back({over, term});
    } else {
      like->sum = add(b, like->sum, b.placed(term, b.placement(like->sum)), label);
    }
  }
  Value total;
  for (const LikeTerms& like : sums) {
    const bool partial = b.placement(like.sum).is_partial() && !placement.is_partial();
    const Value whole = b.placed(partial ? all_reduce(b, like.sum, label) : like.sum, placement);
    total = total.present() ? add(b, total, whole, label) : whole;
  }
  return total;
}

namespace {

void require_same(Builder& b, Value from, Value to) {
  b.require(b.num_rows(from) == b.num_rows(to) && b.num_cols(from) == b.num_cols(to) &&
                b.format(from) == b.format(to),
            "a copy keeps shape and format", {from, to});
}

}  // namespace

void copy(Builder& b, Value from, Value to) {
  require_same(b, from, to);
  b.emit(kernels::CopyDesc{}, {{CopyOperand::in, from}, {CopyOperand::out, to}});
}

void read_back(Builder& b, Value from, Value to) {
  require_same(b, from, to);
  b.emit(kernels::ReadBackDesc{}, {{ReadBackOperand::in, from}, {ReadBackOperand::out, to}});
}

}  // namespace braid::ops

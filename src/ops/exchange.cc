#include "ops/exchange.h"

#include "ops/kind.h"

using braid::kernels::MergeRanksDesc;
using braid::kernels::RankOrderDesc;
using braid::ops::AllToAllVDesc;
using braid::ops::ReturnRowsDesc;

namespace braid::ops {
namespace {

constexpr auto kOrderOperands = flow::operand_specs<RankOrderOperand>({
    {RankOrderOperand::ids, "ids", Access::read, Slicing::whole},
    {RankOrderOperand::counts, "counts", Access::write, Slicing::whole},
    {RankOrderOperand::source, "source", Access::write, Slicing::whole},
    {RankOrderOperand::places, "places", Access::write, Slicing::whole},
});
constexpr auto kSendOperands = flow::operand_specs<AllToAllVOperand>({
    {AllToAllVOperand::counts, "counts", Access::read, Slicing::whole},
    {AllToAllVOperand::rows, "rows", Access::read, Slicing::whole},
    {AllToAllVOperand::scales, "scales", Access::read, Slicing::whole, true},
    {AllToAllVOperand::ids, "ids", Access::read, Slicing::whole},
    {AllToAllVOperand::weights, "weights", Access::read, Slicing::whole},
    {AllToAllVOperand::all_rows, "all_rows", Access::write, Slicing::whole},
    {AllToAllVOperand::all_scales, "all_scales", Access::write, Slicing::whole, true},
    {AllToAllVOperand::all_ids, "all_ids", Access::write, Slicing::whole},
    {AllToAllVOperand::all_weights, "all_weights", Access::write, Slicing::whole},
    {AllToAllVOperand::source, "source", Access::read, Slicing::whole},
    {AllToAllVOperand::received, "received", Access::write, Slicing::whole},
});
constexpr auto kReturnOperands = flow::operand_specs<ReturnRowsOperand>({
    {ReturnRowsOperand::received, "received", Access::read, Slicing::whole},
    {ReturnRowsOperand::rows, "rows", Access::read, Slicing::whole},
    {ReturnRowsOperand::back, "back", Access::write, Slicing::whole},
});
constexpr auto kMergeOperands = flow::operand_specs<MergeRanksOperand>({
    {MergeRanksOperand::back, "back", Access::read, Slicing::whole},
    {MergeRanksOperand::places, "places"},
    {MergeRanksOperand::out, "out", Access::write},
});

// How much of ranks · group rows is sent to other ranks: a row goes to min(K, ranks) ranks at most,
// and its own rank is one of them as often as any other.
double sent_share(double ranks, double top_k) {
  return (ranks - 1) / ranks * std::min(top_k, ranks) / ranks;
}

Work send_work(const void* desc, std::span<const Type> types) {
  const double ranks = static_cast<const AllToAllVDesc*>(desc)->ranks;
  const auto top_k = static_cast<double>(types[AllToAllVOperand::ids].cols);
  const auto arrived = types.subspan(AllToAllVOperand::all_rows, AllToAllVOperand::kToAll);
  const double all = bytes(arrived);
  return {.flop = 0, .bytes = 2 * all, .link_bytes = sent_share(ranks, top_k) * all};
}

// `back` has room for a row as often as it was sent, so that its size is what is moved.
Work return_work(const void* desc, std::span<const Type> types) {
  const double ranks = static_cast<const ReturnRowsDesc*>(desc)->ranks;
  const double back = bytes(types[ReturnRowsOperand::back]);
  return {.flop = 0, .bytes = 2 * back, .link_bytes = (ranks - 1) / ranks * back};
}

constexpr KindInfo kOrder = {.name = "rank_order",
                             .operands = kOrderOperands,
                             .row_invariant = false,
                             .work = moves_operands};
constexpr KindInfo kSend =
    collective_kind<AllToAllVDesc, AllToAllVOperand::all_rows, AllToAllVOperand::source>(
        "all_to_all_v", kSendOperands, send_work);
constexpr KindInfo kReturn = collective_kind<ReturnRowsDesc, ReturnRowsOperand::rows>(
    "return_rows", kReturnOperands, return_work);
constexpr KindInfo kMerge = {
    .name = "merge_ranks", .operands = kMergeOperands, .work = moves_operands};

}  // namespace
}  // namespace braid::ops

template <>
const braid::flow::KindInfo& braid::flow::kind_of<RankOrderDesc>() {
  return ops::kOrder;
}

template <>
const braid::flow::KindInfo& braid::flow::kind_of<AllToAllVDesc>() {
  return ops::kSend;
}

template <>
const braid::flow::KindInfo& braid::flow::kind_of<ReturnRowsDesc>() {
  return ops::kReturn;
}

template <>
const braid::flow::KindInfo& braid::flow::kind_of<MergeRanksDesc>() {
  return ops::kMerge;
}

namespace braid::ops {
namespace {

constexpr Placement kOwnRows = {.axes = {Shard::row_sharded, Shard::replicated}};
constexpr Placement kReceived = {.mesh = flow::Mesh::moe,
                                 .axes = {Shard::row_sharded, Shard::replicated}};

// Whether each rank has rows and experts of its own, and one communicator joins them all.
bool is_one_to_one(const Builder& b) {
  const MeshSizes& meshes = b.meshes();
  return meshes.attention[0] > 1 && meshes.attention[1] == 1 && meshes.moe == meshes.attention &&
         meshes.attention_sums[0] >= 0;
}

}  // namespace

ReceivedRows all_to_all_v(Builder& b, const GatheredRows& own, const RankRows& ranks,
                          int32_t experts_per_rank) {
  b.require(is_one_to_one(b), "each rank has rows and experts of its own", {own.rows});
  for (const Value value : {own.rows, own.ids, own.weights}) {
    b.require(b.placement(value) == kOwnRows, "whole rows, different ones along dp, are sent",
              {value});
    b.require(b.num_rows(value) == ranks.own && !b.info(value).count.present(),
              "all rows of a rank are looked at", {value});
  }
  b.require(ranks.own <= ranks.group, "no rank has more rows than the largest", {own.rows});
  const int32_t dp = b.meshes().attention[0];
  const int64_t sends = kernels::most_sends(ranks.own, b.num_cols(own.ids), dp);
  const Value counts = b.step("send_counts", Format::i32, dp, 1, kOwnRows);
  const Value source = b.step("send_source", Format::i32, sends, 1, kOwnRows);
  const Value places = b.step("send_places", Format::i32, ranks.own, dp, kOwnRows);
  b.emit(kernels::RankOrderDesc{.ranks = dp, .experts_per_rank = experts_per_rank},
         {{RankOrderOperand::ids, own.ids},
          {RankOrderOperand::counts, counts},
          {RankOrderOperand::source, source},
          {RankOrderOperand::places, places}});
  const auto arrived = [&](Value value, std::string_view label) {
    return b.step(label, b.format(value), dp * ranks.group, b.num_cols(value), kReceived);
  };
  const GatheredRows all = {arrived(own.rows, "all_rows"),
                            arrived(own.ids, "all_expert_ids"),
                            arrived(own.weights, "all_expert_weights"),
                            {}};
  const Value received = b.step("received", Format::i32, dp, 1, kReceived);
  b.emit(AllToAllVDesc{.communicator = b.meshes().attention_sums[0], .ranks = dp},
         {{AllToAllVOperand::counts, counts},
          {AllToAllVOperand::rows, own.rows},
          {AllToAllVOperand::ids, own.ids},
          {AllToAllVOperand::weights, own.weights},
          {AllToAllVOperand::all_rows, all.rows},
          {AllToAllVOperand::all_ids, all.ids},
          {AllToAllVOperand::all_weights, all.weights},
          {AllToAllVOperand::source, source},
          {AllToAllVOperand::received, received}});
  return {all, {received, places, sends}};
}

Value return_rows(Builder& b, Value rows, const SentRows& way_back, std::string_view label) {
  b.require(b.placement(rows) == b.placement(way_back.received) && !b.info(rows).count.present(),
            "what was received is returned", {rows, way_back.received});
  const int32_t dp = b.meshes().attention[0];
  const Value back = b.step("returned", b.format(rows), way_back.sends, b.num_cols(rows), kOwnRows);
  b.emit(ReturnRowsDesc{.communicator = b.meshes().attention_sums[0], .ranks = dp},
         {{ReturnRowsOperand::received, way_back.received},
          {ReturnRowsOperand::rows, rows},
          {ReturnRowsOperand::back, back}});
  const Value out =
      b.step(label, b.format(rows), b.num_rows(way_back.places), b.num_cols(rows), kOwnRows);
  b.emit(kernels::MergeRanksDesc{}, {{MergeRanksOperand::back, back},
                                     {MergeRanksOperand::places, way_back.places},
                                     {MergeRanksOperand::out, out}});
  return out;
}

}  // namespace braid::ops

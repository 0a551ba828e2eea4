#include "ops/exchange.h"

#include "ops/kind.h"

using braid::flow::Access;
using braid::flow::KindInfo;
using braid::flow::OperandSpec;
using braid::flow::Slicing;
using braid::flow::Type;
using braid::flow::Work;
using braid::kernels::MergeRanksDesc;
using braid::kernels::RankOrderDesc;
using braid::ops::AllToAllVDesc;
using braid::ops::GatherOperand;
using braid::ops::ReturnRowsDesc;

namespace {

constexpr OperandSpec kOrderOperands[] = {{"ids", Access::read, Slicing::whole},
                                          {"counts", Access::write, Slicing::whole},
                                          {"source", Access::write, Slicing::whole},
                                          {"places", Access::write, Slicing::whole}};
constexpr OperandSpec kSendOperands[] = {
    {"counts", Access::read, Slicing::whole},
    {"rows", Access::read, Slicing::whole},
    {"scales", Access::read, Slicing::whole, true},
    {"ids", Access::read, Slicing::whole},
    {"weights", Access::read, Slicing::whole},
    {"all_rows", Access::write, Slicing::whole},
    {"all_scales", Access::write, Slicing::whole, true},
    {"all_ids", Access::write, Slicing::whole},
    {"all_weights", Access::write, Slicing::whole},
    {"source", Access::read, Slicing::whole},
    {"received", Access::write, Slicing::whole},
};
constexpr OperandSpec kReturnOperands[] = {{"received", Access::read, Slicing::whole},
                                           {"rows", Access::read, Slicing::whole},
                                           {"back", Access::write, Slicing::whole}};
constexpr OperandSpec kMergeOperands[] = {
    {"back", Access::read, Slicing::whole}, {"places"}, {"out", Access::write}};

// Of what lies in ranks · group rows: a row goes to min(K, ranks) ranks at most, which are as
// likely to be the own one as any other.
double sent_share(double ranks, double top_k) {
  return (ranks - 1) / ranks * std::min(top_k, ranks) / ranks;
}

Work send_work(const void* desc, std::span<const Type> types) {
  const double ranks = static_cast<const AllToAllVDesc*>(desc)->ranks;
  const auto top_k = static_cast<double>(types[GatherOperand::ids].cols);
  const auto arrived =
      types.subspan(GatherOperand::all_rows, GatherOperand::source - GatherOperand::all_rows);
  const double all = braid::ops::bytes(arrived);
  return {.flop = 0,
          .bytes = 2 * all,
          .link_bytes = sent_share(ranks, top_k) * all,
          .messages = ranks - 1};
}

// How often a row was sent stands in the rows that come back, of which there is room for all.
Work return_work(const void* desc, std::span<const Type> types) {
  const double ranks = static_cast<const ReturnRowsDesc*>(desc)->ranks;
  const double back = braid::ops::bytes(types[2]);
  return {.flop = 0,
          .bytes = 2 * back,
          .link_bytes = (ranks - 1) / ranks * back,
          .messages = ranks - 1};
}

constexpr KindInfo kOrder = {.name = "rank_order",
                             .operands = kOrderOperands,
                             .row_invariant = false,
                             .work = braid::ops::moves_operands};
constexpr KindInfo kSend =
    braid::ops::collective_kind<AllToAllVDesc, GatherOperand::all_rows, GatherOperand::source>(
        "all_to_all_v", kSendOperands, send_work);
constexpr KindInfo kReturn =
    braid::ops::collective_kind<ReturnRowsDesc, 1>("return_rows", kReturnOperands, return_work);
constexpr KindInfo kMerge = {
    .name = "merge_ranks", .operands = kMergeOperands, .work = braid::ops::moves_operands};

}  // namespace

template <>
const KindInfo& braid::flow::kind_of<RankOrderDesc>() {
  return kOrder;
}

template <>
const KindInfo& braid::flow::kind_of<AllToAllVDesc>() {
  return kSend;
}

template <>
const KindInfo& braid::flow::kind_of<ReturnRowsDesc>() {
  return kReturn;
}

template <>
const KindInfo& braid::flow::kind_of<MergeRanksDesc>() {
  return kMerge;
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
         {own.ids, counts, source, places});
  const auto arrived = [&](Value value, std::string_view label) {
    return b.step(label, b.format(value), dp * ranks.group, b.num_cols(value), kReceived);
  };
  const GatheredRows all = {arrived(own.rows, "all_rows"),
                            arrived(own.ids, "all_expert_ids"),
                            arrived(own.weights, "all_expert_weights"),
                            {}};
  const Value received = b.step("received", Format::i32, dp, 1, kReceived);
  b.emit(AllToAllVDesc{.communicator = b.meshes().attention_sums[0], .ranks = dp}, {counts,
                                                                                    own.rows,
                                                                                    {},
                                                                                    own.ids,
                                                                                    own.weights,
                                                                                    all.rows,
                                                                                    {},
                                                                                    all.ids,
                                                                                    all.weights,
                                                                                    source,
                                                                                    received});
  return {all, {received, places, sends}};
}

Value return_rows(Builder& b, Value rows, const SentRows& way_back, std::string_view label) {
  b.require(b.placement(rows) == b.placement(way_back.received) && !b.info(rows).count.present(),
            "what was received is returned", {rows, way_back.received});
  const int32_t dp = b.meshes().attention[0];
  const Value back = b.step("returned", b.format(rows), way_back.sends, b.num_cols(rows), kOwnRows);
  b.emit(ReturnRowsDesc{.communicator = b.meshes().attention_sums[0], .ranks = dp},
         {way_back.received, rows, back});
  const Value out =
      b.step(label, b.format(rows), b.num_rows(way_back.places), b.num_cols(rows), kOwnRows);
  b.emit(kernels::MergeRanksDesc{}, {back, way_back.places, out});
  return out;
}

}  // namespace braid::ops

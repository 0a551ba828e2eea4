// Rows that differ along dp, sent to the ranks that hold one of their experts, and back: where
// every rank has rows and experts of its own (tp and moe_tp are 1).
//
// The results are bitwise those of a gather and a scattered sum: a row's parts are added in the
// order of the ranks, and a rank that holds none of its experts adds +0 there, too.
#pragma once

#include "kernels/moe/exchange_desc.h"
#include "ops/rank_rows.h"

namespace braid::ops {

// The first counts[0] rows that `source` lists go to rank 0, the next counts[1] to rank 1, and so
// on; what arrives is ordered by the rank that sent it. `counts` i32 [ranks, 1] are data,
// `received` i32 [ranks, 1] says how many rows came from each rank. Ids behind the received rows
// become −1, all else there is undefined. Capacities are ranks · group rows, the most that one rank
// can be sent.
struct AllToAllVDesc {
  int32_t communicator = 0;
  int32_t ranks = 1;
};

// The operands of an AllGatherVDesc, and two more.
struct AllToAllVOperand : AllGatherVOperand {
  enum : size_t { source = AllGatherVOperand::num_operands, received, num_operands };
};

struct RankOrderOperand {
  enum : size_t { ids, counts, source, places, num_operands };
};

// The first received[0] rows go back to rank 0, the next received[1] to rank 1, and so on; there
// they lie in the order in which they were sent.
struct ReturnRowsDesc {
  int32_t communicator = 0;
  int32_t ranks = 1;
};

struct ReturnRowsOperand {
  enum : size_t { received, rows, back, num_operands };
};

struct MergeRanksOperand {
  enum : size_t { back, places, out, num_operands };
};

// What is needed for the way back.
struct SentRows {
  Value received;  // i32 [ranks, 1], rows from each rank; absent where nothing was sent
  Value places;    // i32 [T, ranks]: each row's parts among those that come back
  int64_t sends = 0;
};

struct ReceivedRows {
  GatheredRows all;  // different ones on every rank of the experts' mesh
  SentRows way_back;
};

// Whole rows of this rank → those that need its experts. Every rank holds experts_per_rank of them,
// in order.
ReceivedRows all_to_all_v(Builder& b, const GatheredRows& own, const RankRows& ranks,
                          int32_t experts_per_rank);

// The way back: what was made of the received rows → the sums of this rank's own rows.
Value return_rows(Builder& b, Value rows, const SentRows& way_back, std::string_view label);

}  // namespace braid::ops

template <>
const braid::flow::KindInfo& braid::flow::kind_of<braid::kernels::RankOrderDesc>();
template <>
const braid::flow::KindInfo& braid::flow::kind_of<braid::kernels::MergeRanksDesc>();
template <>
const braid::flow::KindInfo& braid::flow::kind_of<braid::ops::AllToAllVDesc>();
template <>
const braid::flow::KindInfo& braid::flow::kind_of<braid::ops::ReturnRowsDesc>();

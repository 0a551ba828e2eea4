// Rows that differ along dp, sent to the ranks that hold one of their experts, and back: where
// every rank has rows and experts of its own (tp and moe_tp are 1).
//
// The results are bitwise those of a gather and a scattered sum: a row's parts are added in the
// order of the ranks, and a rank that holds none of its experts adds +0 there, too.
#pragma once

#include "kernels/moe/exchange_desc.h"
#include "ops/rank_rows.h"

namespace braid::ops {

// Rows counts[0] … of `source` to rank 0, and so on; on their arrival they lie one rank behind the
// other. Operands as GatherOperand says: `counts` i32 [ranks, 1] are data here, `received` i32
// [ranks, 1] says how many came from each rank. Ids beyond those become −1, all else there is
// undefined. Capacities are ranks · group rows: no rank can be sent more than there are.
struct AllToAllVDesc {
  int32_t communicator = 0;
  int32_t ranks = 1;
};

// The first received[r] rows go back to rank 0, and so on, where they lie in the order in which
// they were sent.
struct ReturnRowsDesc {
  int32_t communicator = 0;
  int32_t ranks = 1;
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

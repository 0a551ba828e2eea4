// How rows that differ along dp get to their experts. This is no pass: a gather and an all-to-all
// are two ways to build a MoE layer, with other ops, buffers and capacities, so that the choice is
// made for a step before its Program is built. It asks the same cost model as the passes.
#pragma once

#include "cost/cost_model.h"
#include "cost/decisions.h"
#include "ops/rank_rows.h"

namespace braid::layers {

enum class DispatchChoice { automatic, gather, all_to_all };

// "auto", "gather", "all-to-all"; else a usage error.
Result<DispatchChoice> parse_dispatch(std::string_view option, std::string_view text);

// What the choice depends on. All ranks have the same facts.
struct DispatchFacts {
  std::array<int32_t, 2> attention = {1, 1};  // dp, tp
  std::array<int32_t, 2> moe = {1, 1};        // moe_ep, moe_tp
  int64_t moe_layers = 1;                     // layers with experts
  int64_t top_k = 0;                          // 0: no experts
  int64_t group = 0;                          // rows of the largest rank
  int64_t row_bytes = 0;                      // in the model's dtype
  bool placed = false;                        // a table says in which slots experts lie
};

// `usage`, with the constraint, where these ranks can't have the choice.
Status check_dispatch(const DispatchFacts& facts, DispatchChoice choice);

// auto takes the way with the least predicted time on the link, for uniform routing. A gather
// brings each row to all ranks, an all-to-all to at most min(K, ep) of them. Below 4 ranks auto
// always takes the gather. The caller has asked check_dispatch() before.
ops::DispatchKind choose_dispatch(const DispatchFacts& facts, DispatchChoice choice,
                                  const cost::CostModel& model, cost::Decisions& why);

}  // namespace braid::layers

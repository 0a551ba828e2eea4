// How rows that differ along dp get to their experts: chosen before a Program is built.
#pragma once

#include "ops/rank_rows.h"
#include "passes/decisions.h"

namespace braid::passes {

enum class DispatchChoice { automatic, gather, all_to_all };

// "auto", "gather", "all-to-all"; else a usage error.
Result<DispatchChoice> parse_dispatch(std::string_view option, std::string_view text);

// What the choice depends on, alike on all ranks.
struct DispatchFacts {
  std::array<int32_t, 2> attention = {1, 1};  // dp, tp
  std::array<int32_t, 2> moe = {1, 1};        // moe_ep, moe_tp
  int64_t top_k = 0;                          // 0: no experts
  int64_t group = 0;                          // rows of the largest rank
  int64_t row_bytes = 0;                      // in the model's dtype
  bool placed = false;                        // experts lie in slots as a table says
};

// `usage`, with the constraint, where the choice is one that these ranks can't have.
Status check_dispatch(const DispatchFacts& facts, DispatchChoice choice);

// auto: what moves fewer bytes for these rows, if routing is uniform: a gather brings each row to
// all ranks, an all-to-all to min(K, ep) of them at most; below 4 ranks always a gather. A choice
// that check_dispatch() refuses is not asked for here.
ops::DispatchKind choose_dispatch(const DispatchFacts& facts, DispatchChoice choice,
                                  Decisions& why);

}  // namespace braid::passes

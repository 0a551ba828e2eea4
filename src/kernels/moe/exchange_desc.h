// Rows that go only to the ranks that hold one of their experts, and come back. T rows, K experts a
// row, n ranks.
#pragma once

#include <algorithm>
#include <cstdint>

namespace braid::kernels {

// ids [T, K] → counts [n, 1]: rows for each rank; source [S, 1]: the tokens whose rows are sent, by
// rank, then by token, −1 behind the last; places [T, n]: the place in source of token t's row for
// rank r, −1 where it isn't sent. Rank r holds experts r · experts_per_rank, …; no rank has id −1.
struct RankOrderDesc {
  int32_t ranks = 1;
  int32_t experts_per_rank = 1;
};

// S: the most rows that are sent.
constexpr int64_t most_sends(int64_t rows, int64_t top_k, int64_t ranks) {
  return rows * std::min(top_k, ranks);
}

// out[t] = Σ_r rows[places[t, r]], added in the order of r in float32, rounded once; a rank without
// a row for t adds +0, as it does to a sum over all ranks.
struct MergeRanksDesc {};

}  // namespace braid::kernels

#include "kernels/attention/cpu/attention_plan.h"

#include "base/status.h"

namespace braid::kernels::cpu {
namespace {

// One row a request.
void find_rows(const AttentionPlan& plan, const PagedRows& rows) {
  for (int64_t t = 0; t < rows.rows; ++t) {
    const int32_t sequence = rows.sequences[t];
    plan.first_rows[t] = static_cast<int32_t>(t);
    plan.num_rows[t] = sequence < 0 ? 0 : 1;
    plan.lengths[t] = sequence < 0 ? 0 : rows.positions[t] + 1;
    plan.pages[t] = sequence < 0 ? 0 : static_cast<int32_t>(sequence * rows.block_table.stride);
  }
}

// One sequence a request.
void find_sequences(const AttentionPlan& plan, const PagedRows& rows) {
  for (int64_t s = 0; s < rows.num_sequences; ++s) {
    plan.first_rows[s] = -1;
    plan.num_rows[s] = 0;
    plan.lengths[s] = 0;
    plan.pages[s] = static_cast<int32_t>(s * rows.block_table.stride);
  }
  for (int64_t t = 0; t < rows.rows; ++t) {
    const int32_t sequence = rows.sequences[t];
    if (sequence < 0) continue;
    if (t == 0 || rows.sequences[t - 1] != sequence) {
      BRAID_CHECK(plan.first_rows[sequence] < 0, "rows of sequence {} lie apart", sequence);
      plan.first_rows[sequence] = static_cast<int32_t>(t);
    }
    ++plan.num_rows[sequence];
    plan.lengths[sequence] = rows.positions[t] + 1;
  }
}

void place(const AttentionTiles& tiles, int64_t tile, int64_t request, int64_t index) {
  tiles.requests[tile] = static_cast<int32_t>(request);
  tiles.indices[tile] = static_cast<int32_t>(index);
}

// Tile i of request r stands at r · (tiles of a row) + i.
void place_small(const AttentionPlan& plan) {
  const int64_t of_row = (plan.group + kSmallTile - 1) / kSmallTile;
  for (int64_t tile = 0; tile < plan.small.num_tiles; ++tile) {
    place(plan.small, tile, tile / of_row, tile % of_row);
    plan.small.valid[tile] = plan.num_rows[tile / of_row] == 1;
  }
}

// The tiles of one request after another's, the last ones of each first.
void place_large(const AttentionPlan& plan) {
  std::fill_n(plan.large.valid, plan.large.num_tiles, false);
  int64_t tile = 0;
  for (int64_t request = 0; request < plan.num_requests; ++request) {
    const int64_t rows = plan.num_rows[request];
    int64_t left = rows < 2 ? 0 : (rows * plan.group + kLargeTile - 1) / kLargeTile;
    for (; left > 0; ++tile) {
      place(plan.large, tile, request, --left);
      plan.large.valid[tile] = true;
    }
  }
}

}  // namespace

void plan_attention(const AttentionPlan& plan, const PagedRows& rows) {
  std::fill_n(plan.zeros, std::max(plan.small.num_tiles, plan.large.num_tiles), 0);
  plan.pages[plan.num_requests] =
      static_cast<int32_t>(rows.num_sequences * rows.block_table.stride);
  *plan.no_chunk = 1 << 30;
  if (plan.large.num_tiles == 0) {
    find_rows(plan, rows);
  } else {
    find_sequences(plan, rows);
  }
  place_small(plan);
  place_large(plan);
}

}  // namespace braid::kernels::cpu

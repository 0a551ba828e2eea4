#include "kernels/attention/cuda/attention_plan.h"

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"

namespace braid::kernels::cuda {
namespace {

constexpr int kThreads = 1024;

// One row a request.
__device__ void find_rows(const AttentionPlan& plan, const PagedRows& rows) {
  for (int64_t t = threadIdx.x; t < rows.rows; t += kThreads) {
    const int32_t sequence = rows.sequences[t];
    plan.first_rows[t] = static_cast<int32_t>(t);
    plan.num_rows[t] = sequence < 0 ? 0 : 1;
    plan.lengths[t] = sequence < 0 ? 0 : rows.positions[t] + 1;
    plan.pages[t] = sequence < 0 ? 0 : static_cast<int32_t>(sequence * rows.block_table.stride);
  }
}

// One sequence a request.
__device__ void find_sequences(const AttentionPlan& plan, const PagedRows& rows) {
  for (int64_t s = threadIdx.x; s < rows.num_sequences; s += kThreads) {
    plan.first_rows[s] = -1;
    plan.num_rows[s] = 0;
    plan.lengths[s] = 0;
    plan.pages[s] = static_cast<int32_t>(s * rows.block_table.stride);
  }
  __syncthreads();
  for (int64_t t = threadIdx.x; t < rows.rows; t += kThreads) {
    const int32_t sequence = rows.sequences[t];
    if (sequence < 0) continue;
    if (t == 0 || rows.sequences[t - 1] != sequence) {
      if (atomicExch(&plan.first_rows[sequence], static_cast<int32_t>(t)) >= 0) __trap();
    } else if (rows.positions[t - 1] + 1 != rows.positions[t]) {
      __trap();
    }
  }
  __syncthreads();
  for (int64_t t = threadIdx.x; t < rows.rows; t += kThreads) {
    const int32_t sequence = rows.sequences[t];
    if (sequence < 0 || (t + 1 < rows.rows && rows.sequences[t + 1] == sequence)) continue;
    plan.num_rows[sequence] = static_cast<int32_t>(t) + 1 - plan.first_rows[sequence];
    plan.lengths[sequence] = rows.positions[t] + 1;
  }
}

// Tile i of request r stands at r · (tiles of a row) + i.
__device__ void place_small(const AttentionPlan& plan) {
  const auto of_row = static_cast<int>(ceil_div(plan.group, kSmallTile));
  for (int tile = static_cast<int>(threadIdx.x); tile < plan.small.num_tiles; tile += kThreads) {
    const int request = tile / of_row;
    plan.small.requests[tile] = request;
    plan.small.indices[tile] = tile % of_row;
    plan.small.valid[tile] = plan.num_rows[request] == 1;
  }
}

// The tiles of one request after another's; within a request the last ones, which have most to
// read, come first.
__device__ void place_large(const AttentionPlan& plan) {
  __shared__ int32_t sums[kWarp];
  __shared__ int32_t ends[kThreads];
  for (int64_t tile = threadIdx.x; tile < plan.large.num_tiles; tile += kThreads) {
    plan.large.valid[tile] = false;
  }
  int32_t begin = 0;
  for (int64_t first = 0; first < plan.num_requests; first += kThreads) {
    __syncthreads();
    const int64_t request = first + threadIdx.x;
    const int32_t rows = request < plan.num_requests ? plan.num_rows[request] : 0;
    const auto mine = rows < 2 ? 0 : static_cast<int32_t>(ceil_div(rows * plan.group, kLargeTile));
    int32_t total = 0;
    ends[threadIdx.x] = begin + block_scan(mine, sums, total);
    __syncthreads();
    for (int32_t tile = begin + static_cast<int32_t>(threadIdx.x); tile < begin + total;
         tile += kThreads) {
      int low = 0;  // the first request that ends behind the tile
      int high = kThreads - 1;
      while (low < high) {
        const int middle = (low + high) / 2;
        if (tile < ends[middle]) {
          high = middle;
        } else {
          low = middle + 1;
        }
      }
      plan.large.requests[tile] = static_cast<int32_t>(first) + low;
      plan.large.indices[tile] = ends[low] - 1 - tile;
      plan.large.valid[tile] = true;
    }
    begin += total;
  }
}

// One block.
__global__ void __launch_bounds__(kThreads) plan_step(AttentionPlan plan, PagedRows rows) {
  start_in_turn();
  const int64_t tiles = max(plan.small.num_tiles, plan.large.num_tiles);
  for (int64_t i = threadIdx.x; i < tiles; i += kThreads) plan.zeros[i] = 0;
  if (threadIdx.x == 0) {
    plan.pages[plan.num_requests] =
        static_cast<int32_t>(rows.num_sequences * rows.block_table.stride);
    *plan.no_chunk = 1 << 30;
  }
  if (plan.large.num_tiles == 0) {
    find_rows(plan, rows);
  } else {
    find_sequences(plan, rows);
  }
  __syncthreads();
  place_small(plan);
  if (plan.large.num_tiles > 0) place_large(plan);
}

}  // namespace

void plan_attention(const AttentionPlan& plan, const PagedRows& rows, const KernelStream& stream) {
  launch_kernel(stream, {.grid = dim3(1), .block = dim3(kThreads)}, plan_step, plan, rows);
}

}  // namespace braid::kernels::cuda

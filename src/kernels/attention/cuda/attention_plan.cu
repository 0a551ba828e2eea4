#include "kernels/attention/cuda/attention_plan.h"

#include <algorithm>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"

namespace braid::kernels::cuda {
namespace {

constexpr int kThreads = 1024;
constexpr int kMaxZeroBlocks = 128;

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

__device__ void zero_padding(const PagedRows& rows, int64_t cols, Matrix<bf16> out) {
  for (int64_t t = blockIdx.x - 1; t < rows.rows; t += gridDim.x - 1) {
    if (rows.sequences[t] >= 0) continue;
    for (int64_t i = threadIdx.x * kPack; i < cols; i += kThreads * kPack) {
      store_pack<true>(out.row(t) + i, cols - i, Pack<bf16>{});
    }
  }
}

// Block 0 plans, the others write zeros.
__global__ void __launch_bounds__(kThreads)
    plan_step(AttentionPlan plan, PagedRows rows, int64_t cols, Matrix<bf16> out) {
  start_in_turn();
  if (blockIdx.x > 0) return zero_padding(rows, cols, out);
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

AttentionPlan::AttentionPlan(const AttentionDesc& desc, int64_t rows, int64_t num_sequences,
                             std::byte* scratch)
    : num_requests(std::min(rows, num_sequences)), group(desc.num_heads / desc.num_kv_heads) {
  const auto take = [this, scratch]<typename T>(T*& array, int64_t count) {
    if (scratch != nullptr) array = reinterpret_cast<T*>(scratch + bytes);
    bytes += ceil_div(count * static_cast<int64_t>(sizeof(T)), 16) * 16;
  };
  small.tile_rows = kSmallTile;
  small.num_tiles = num_requests * ceil_div(group, kSmallTile);
  large.tile_rows = kLargeTile;
  // Every request may end in a tile that is not full.
  if (rows > num_sequences) large.num_tiles = rows * group / kLargeTile + num_requests;
  take(first_rows, num_requests);
  take(num_rows, num_requests);
  take(lengths, num_requests);
  take(pages, num_requests + 1);
  take(zeros, std::max(small.num_tiles, large.num_tiles));
  take(no_chunk, 1);
  for (AttentionTiles* tiles : {&small, &large}) {
    take(tiles->requests, tiles->num_tiles);
    take(tiles->indices, tiles->num_tiles);
    take(tiles->valid, tiles->num_tiles);
  }
}

void plan_attention(const AttentionPlan& plan, const PagedRows& rows, int64_t cols,
                    Matrix<bf16> out, const KernelStream& on) {
  const auto zero_blocks = static_cast<unsigned>(std::min<int64_t>(rows.rows, kMaxZeroBlocks));
  launch_kernel(on, {1 + zero_blocks, kThreads}, plan_step, plan, rows, cols, out);
}

}  // namespace braid::kernels::cuda

// y = epilogue(x[source] · W[slot]ᵀ) for the rows of every slot, bf16 with float32 sums.
//
// A block takes tiles [kRows, kColumns] of y from a list that it makes of `offsets`, and goes on
// from tile to tile without a break (persistent). Its warps have three roles, joined by a ring of
// stages in shared memory, each 64 columns of K:
//   weights  one thread copies boxes of W, by tensor map
//   rows     two warps gather rows of x, in pieces of 16 bytes
//   sums     a warpgroup for each 64 rows multiplies (wgmma), then writes y
// A stage is `full` when the box and all pieces have come, and `empty` when every warp of the sums
// has read it. Every element is summed over K in the same order, whatever tile it is in.
#pragma once

#include <algorithm>

#include "kernels/cuda/launch.cuh"
#include "kernels/gemm/cuda/elements.cuh"
#include "kernels/gemm/cuda/grouped_gemm_tile.h"
#include "kernels/gemm/cuda/sm90_async.cuh"
#include "kernels/gemm/cuda/sm90_grouped_gemm.h"
#include "kernels/gemm/cuda/sm90_wgmma.cuh"

namespace braid::kernels::cuda::sm90 {

template <GroupedGemmTile kSize>
struct Tile {
  static constexpr int kRows = kSize.rows;
  static constexpr int kColumns = kSize.columns;
  static constexpr int kStages = kSize.stages;
  static constexpr int kBlocksPerSm = kSize.blocks_per_sm;

  static constexpr int kSumWarps = kRows / 16;
  static constexpr int kRowWarps = 2;
  static constexpr int kThreads = 32 * (kSumWarps + kRowWarps + 1);

  // Shared memory from an address of 1024: stages of x, stages of W, a staging place [16, 128
  // bytes] for each sum warp, barriers, and the tables of the tile list.
  static constexpr int kXBytes = kRows * kTileRowBytes;
  static constexpr int kWBytes = kColumns * kTileRowBytes;
  static constexpr int kW = kStages * kXBytes;
  static constexpr int kStaging = kW + kStages * kWBytes;
  static constexpr int kStagingBytes = 16 * kTileRowBytes;
  static constexpr int kFull = kStaging + kSumWarps * kStagingBytes;
  static constexpr int kEmpty = kFull + kStages * 8;
  static constexpr int kTables = kEmpty + kStages * 8;
  static int shared_bytes(int32_t num_slots) { return 1024 + kTables + 2 * 4 * (num_slots + 1); }
};

// A place in the ring of stages, and how often it came round.
template <int kStages>
struct Ring {
  uint32_t stage = 0;
  uint32_t parity = 0;
  __device__ void advance() {
    if (++stage < kStages) return;
    stage = 0;
    parity ^= 1;
  }
};

// Which rows of y and which rows of W a tile covers.
struct TileSpan {
  int32_t slot;
  int32_t first_row;
  int32_t end_row;  // of the slot
  int32_t first_column;
};

// The tiles of all slots: slot by slot, in it column by column, so that blocks which run at the
// same time share weights.
struct TileList {
  const int32_t* starts;  // offsets, in shared memory
  const int32_t* before;  // [num_slots + 1]: row tiles of the slots before
  int32_t num_slots;
  int32_t column_tiles;

  __device__ int32_t size() const { return before[num_slots] * column_tiles; }

  template <class T>
  __device__ TileSpan at(int32_t index) const {
    const int32_t row_tile = index / column_tiles;  // if tiles of a slot went row by row
    int32_t slot = 0;
    for (int32_t end = num_slots; end - slot > 1;) {
      const int32_t middle = (slot + end) / 2;
      (before[middle] <= row_tile ? slot : end) = middle;
    }
    const int32_t row_tiles = before[slot + 1] - before[slot];
    const int32_t within = index - before[slot] * column_tiles;
    return {slot, starts[slot] + within % row_tiles * T::kRows, starts[slot + 1],
            within / row_tiles * T::kColumns};
  }
};

// Fills the tables; all threads of the block call it, and synchronise afterwards.
template <class T>
__device__ TileList list_tiles(const GroupedGemmParams& params, int32_t* tables) {
  int32_t* starts = tables;
  int32_t* before = tables + params.num_slots + 1;
  for (int32_t i = threadIdx.x; i <= params.num_slots; i += T::kThreads) {
    starts[i] = params.offsets[i];
  }
  __syncthreads();
  if (threadIdx.x < 32) {
    const int32_t lane = threadIdx.x;
    int32_t total = 0;
    if (lane == 0) before[0] = 0;
    for (int32_t first = 0; first < params.num_slots; first += 32) {
      const int32_t slot = first + lane;
      const int32_t rows = slot < params.num_slots ? starts[slot + 1] - starts[slot] : 0;
      int32_t tiles = (rows + T::kRows - 1) / T::kRows;
      for (int32_t distance = 1; distance < 32; distance *= 2) {
        const int32_t other = __shfl_up_sync(0xffffffff, tiles, distance);
        if (lane >= distance) tiles += other;
      }
      if (slot < params.num_slots) before[slot + 1] = total + tiles;
      total += __shfl_sync(0xffffffff, tiles, 31);
    }
  }
  return {starts, before, params.num_slots, (params.n + T::kColumns - 1) / T::kColumns};
}

// One thread: boxes of W for all tiles of this block.
template <class T>
__device__ void stream_weights(const CUtensorMap& weights, const GroupedGemmParams& params,
                               const TileList& tiles, uint32_t shared) {
  Ring<T::kStages> ring;
  for (int32_t index = blockIdx.x; index < tiles.size(); index += gridDim.x) {
    const TileSpan span = tiles.at<T>(index);
    const int32_t w_row = span.slot * params.n + span.first_column;
    for (int32_t depth = 0; depth < params.k; depth += kTileDepth) {
      const uint32_t full = shared + T::kFull + ring.stage * 8;
      barrier_wait(shared + T::kEmpty + ring.stage * 8, ring.parity ^ 1);
      barrier_arrive_expect(full, T::kWBytes);
      copy_box(shared + T::kW + ring.stage * T::kWBytes, weights, depth, w_row, full);
      ring.advance();
    }
  }
}

// 8 elements from an address of 2, zeros behind the first `count`.
__device__ inline uint4 load_unaligned(const __nv_bfloat16* from, int32_t count) {
  alignas(16) uint16_t values[8];
#pragma unroll
  for (int32_t i = 0; i < 8; ++i) {
    values[i] = i < count ? reinterpret_cast<const uint16_t*>(from)[i] : 0;
  }
  return *reinterpret_cast<const uint4*>(values);
}

// The warps of the rows: eight lanes copy a row's 128 bytes, so the warps copy kRowsAtOnce rows
// at once. Rows behind the slot's end are left out: what then stands in their place only reaches
// rows of the product that are not written.
template <class T>
__device__ void gather_rows(const GroupedGemmParams& params, const TileList& tiles, uint32_t shared,
                            uint32_t thread) {
  constexpr int kRowsAtOnce = T::kRowWarps * 4;
  constexpr int kPasses = T::kRows / kRowsAtOnce;
  // At most kLag stages are on their way, unannounced, while the next one is waited for. The sums
  // free a stage only when they have begun the one behind it: with one more this would not end.
  constexpr int kLag = T::kStages - 2;
  const uint32_t piece = thread % 8;
  const uint32_t row = thread / 8;
  Ring<T::kStages> ring;
  Ring<T::kStages> announced;
  int32_t pending = 0;
  const auto announce = [&] {
    fence_async_proxy();
    __syncwarp();
    if (thread % 32 == 0) barrier_arrive(shared + T::kFull + announced.stage * 8);
    announced.advance();
  };
  for (int32_t index = blockIdx.x; index < tiles.size(); index += gridDim.x) {
    const TileSpan span = tiles.at<T>(index);
    const int32_t rows = span.end_row - span.first_row;
    const __nv_bfloat16* from[kPasses];
#pragma unroll
    for (int pass = 0; pass < kPasses; ++pass) {
      const int32_t r = pass * kRowsAtOnce + row;
      int32_t x_row = span.first_row + r;
      if (r < rows && params.source != nullptr) x_row = params.source[x_row];
      from[pass] = static_cast<const __nv_bfloat16*>(params.x) + x_row * params.x_stride;
    }
    for (int32_t depth = 0; depth < params.k; depth += kTileDepth) {
      barrier_wait(shared + T::kEmpty + ring.stage * 8, ring.parity ^ 1);
      if (pending < kLag) {
        ++pending;
      } else {
        wait_copies<kLag - 1>();
        announce();
      }
      const int32_t column = depth + piece * 8;
      const int32_t count = min(8, max(0, params.k - column));
      const uint32_t to = shared + ring.stage * T::kXBytes;
#pragma unroll
      for (int pass = 0; pass < kPasses; ++pass) {
        const int32_t r = pass * kRowsAtOnce + row;
        if (r >= rows) break;
        if (params.x_aligned) {
          copy_16(to + swizzled(r, piece), from[pass] + column, count * 2);
        } else {
          store_16(to + swizzled(r, piece), load_unaligned(from[pass] + column, count));
        }
      }
      commit_copies();
      ring.advance();
    }
  }
  wait_copies<0>();
  for (; pending > 0; --pending) announce();
}

// Writes 16 staged bytes to y: `room` elements from `to` to the end of the row.
template <typename Out>
__device__ void store_piece(Out* to, uint4 value, int32_t room, bool aligned) {
  constexpr int kElements = 16 / sizeof(Out);
  if (aligned && room >= kElements) {
    *reinterpret_cast<uint4*>(to) = value;
    return;
  }
  const Out* elements = reinterpret_cast<const Out*>(&value);
#pragma unroll
  for (int i = 0; i < kElements; ++i) {
    if (i < room) to[i] = elements[i];
  }
}

// Epilogue of one warp's 16 rows: through its staging place, 128 bytes of each row at a time, so
// that whole lines are written. `staging` as a pointer and as a shared address.
template <class T, bool kSwiglu, typename Out>
__device__ void store_sums(const GroupedGemmParams& params, const TileSpan& span, int32_t warp,
                           const float (&sums)[T::kColumns / 2], uint8_t* staging,
                           uint32_t staging_address) {
  constexpr int kGroups = T::kColumns / 8;  // of 8 columns of the sums
  constexpr int kGroupElements = kSwiglu ? 4 : 8;
  constexpr int kGroupBytes = kGroupElements * sizeof(Out);
  constexpr int kAtOnce = std::min(kGroups, kTileRowBytes / kGroupBytes);
  constexpr int kPieceElements = 16 / sizeof(Out);
  int32_t lane = threadIdx.x % 32;
  asm volatile("" : "+r"(lane));  // addresses are made anew here, not kept while the sums fill up
  const int32_t first_row = span.first_row + warp * 16;
  const int32_t columns = kSwiglu ? params.n / 2 : params.n;
  const int32_t first_column = kSwiglu ? span.first_column / 2 : span.first_column;
#pragma unroll
  for (int first = 0; first < kGroups; first += kAtOnce) {
    __syncwarp();
#pragma unroll
    for (int i = 0; i < kAtOnce * 2; ++i) {
      const int group = i / 2;
      const int row = lane / 4 + i % 2 * 8;
      const float a = sums[(first + group) * 4 + i % 2 * 2];
      const float b = sums[(first + group) * 4 + i % 2 * 2 + 1];
      const int byte = group * kGroupBytes + lane % 4 * (kGroupBytes / 4);
      Out* to = reinterpret_cast<Out*>(staging + swizzled(row, byte / 16) + byte % 16);
      if constexpr (kSwiglu) {
        *to = from_f32<Out>(silu(a) * b);
      } else {
        store_pair(to, a, b);
      }
    }
    __syncwarp();
#pragma unroll 1  // addresses kept for later turns would not fit into registers beside the sums
    for (int i = 0; i < 4; ++i) {
      const int row = i * 4 + lane / 8;
      const int piece = lane % 8;
      const int32_t column = first_column + first * kGroupElements + piece * kPieceElements;
      const int32_t y_row = first_row + row;
      if (piece * 16 >= kAtOnce * kGroupBytes || y_row >= span.end_row || column >= columns) {
        continue;
      }
      store_piece(static_cast<Out*>(params.y) + y_row * params.y_stride + column,
                  load_16(staging_address + swizzled(row, piece)), columns - column,
                  params.y_aligned);
    }
  }
}

// A warp of the sums: multiplies together with the other three of its warpgroup.
template <class T>
__device__ void sum_tiles(const GroupedGemmParams& params, const TileList& tiles, uint32_t shared,
                          uint8_t* staging, int32_t warp) {
  const bool first_lane = threadIdx.x % 32 == 0;
  const uint32_t x_offset = warp / 4 * 64 * kTileRowBytes;
  const uint32_t staging_address = shared + T::kStaging + warp * T::kStagingBytes;
  Ring<T::kStages> ring;
  float sums[T::kColumns / 2];
  for (int32_t index = blockIdx.x; index < tiles.size(); index += gridDim.x) {
    uint32_t previous = 0;
    for (int32_t depth = 0; depth < params.k; depth += kTileDepth) {
      barrier_wait(shared + T::kFull + ring.stage * 8, ring.parity);
      const uint64_t x = tile_descriptor(shared + ring.stage * T::kXBytes + x_offset);
      const uint64_t w = tile_descriptor(shared + T::kW + ring.stage * T::kWBytes);
      wgmma_begin();
#pragma unroll
      for (int step = 0; step < kTileDepth / kWgmmaDepth; ++step) {
        wgmma<T::kColumns>(sums, x + step * kDescriptorStep, w + step * kDescriptorStep,
                           depth + step);
      }
      wgmma_commit();
      if (depth > 0) {
        wgmma_wait<1>();
        if (first_lane) barrier_arrive(shared + T::kEmpty + previous * 8);
      }
      previous = ring.stage;
      ring.advance();
    }
    wgmma_wait<0>();
    fence_registers(sums);
    if (first_lane) barrier_arrive(shared + T::kEmpty + previous * 8);

    const TileSpan span = tiles.at<T>(index);
    if (span.first_row + warp * 16 >= span.end_row) continue;
    const auto store = [&]<bool kSwiglu, typename Out>(Out) {
      store_sums<T, kSwiglu, Out>(params, span, warp, sums, staging, staging_address);
    };
    if (params.swiglu) {
      if (params.f32_y) {
        store.template operator()<true>(float{});
      } else {
        store.template operator()<true>(__nv_bfloat16{});
      }
    } else if (params.f32_y) {
      store.template operator()<false>(float{});
    } else {
      store.template operator()<false>(__nv_bfloat16{});
    }
  }
}

template <class T>
__global__ void __launch_bounds__(T::kThreads, T::kBlocksPerSm)
    grouped_gemm_kernel(const __grid_constant__ CUtensorMap weights,
                        const __grid_constant__ GroupedGemmParams params) {
  extern __shared__ uint8_t memory[];
  const uint32_t shared = (shared_address(memory) + 1023) & ~1023u;
  uint8_t* base = memory + (shared - shared_address(memory));
  const auto warp = __shfl_sync(0xffffffff, static_cast<int32_t>(threadIdx.x / 32), 0);
  constexpr int kWeightWarp = T::kSumWarps + T::kRowWarps;

  if (warp == kWeightWarp && threadIdx.x % 32 == 0) {
    prefetch_tensor_map(weights);
    for (int stage = 0; stage < T::kStages; ++stage) {
      barrier_init(shared + T::kFull + stage * 8, T::kRowWarps + 1);
      barrier_init(shared + T::kEmpty + stage * 8, T::kSumWarps);
    }
    publish_barriers();
  }
  // Its addresses are the kernel's before it; a next one's blocks would take its blocks' room.
  await_predecessor();
  release_successor();
  const TileList tiles = list_tiles<T>(params, reinterpret_cast<int32_t*>(base + T::kTables));
  __syncthreads();

  if (warp < T::kSumWarps) {
    sum_tiles<T>(params, tiles, shared, base + T::kStaging + warp * T::kStagingBytes, warp);
  } else if (warp < kWeightWarp) {
    gather_rows<T>(params, tiles, shared, threadIdx.x - T::kSumWarps * 32);
  } else if (threadIdx.x % 32 == 0) {
    stream_weights<T>(weights, params, tiles, shared);
  }
}

template <class T>
void launch_grouped_gemm(const CUtensorMap& weights, const GroupedGemmParams& params,
                         const GroupedGemmLaunch& launch) {
  // No more row tiles than rows, nor than whole ones and one for each slot.
  const int64_t row_tiles = std::min(launch.rows, launch.rows / T::kRows + params.num_slots);
  const int64_t column_tiles = (params.n + T::kColumns - 1) / T::kColumns;
  const int64_t blocks = std::min<int64_t>(row_tiles * column_tiles, launch.sms * T::kBlocksPerSm);
  if (blocks == 0) return;
  const int bytes = T::shared_bytes(params.num_slots);
  cudaFuncSetAttribute(grouped_gemm_kernel<T>, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
  launch_kernel(launch.on, {static_cast<unsigned>(blocks), T::kThreads, static_cast<size_t>(bytes)},
                grouped_gemm_kernel<T>, weights, params);
}

}  // namespace braid::kernels::cuda::sm90

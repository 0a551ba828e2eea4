// y = epilogue(x · Wᵀ) for at most 16 rows, as fast as weights are read: each block streams its
// tiles of 8 rows of W through a ring in shared memory (kernels/cuda/stream_ring.cuh).
//
// K is cut into chunks of 1024 columns, and a chunk into 128 for each of 8 warps that multiply. A
// warp adds up its columns of all chunks in order; one more warp adds the 8 sums of a tile in order
// and stores what comes of it. So the order of all additions depends on K alone: not on the number
// of rows, nor on how tiles are spread over blocks, nor on which of the two ways x is held:
// - kChunks > 0: x stays in registers, tile after tile.
// - kChunks = 0: tiles go in groups of kGroupTiles, chunk after chunk; each chunk of x is loaded
//   once a group, one ahead.
//
// The block starts before the kernel ahead of it on the stream has ended, where that may be: the
// ring is filled with weights by then, and only x is waited for.
#pragma once

#include <cuda_bf16.h>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/partial_tiles.cuh"
#include "kernels/cuda/stream_ring.cuh"
#include "kernels/gemm/cuda/elements.cuh"
#include "kernels/gemm/cuda/sm90_stream_gemm.h"

namespace braid::kernels::cuda::sm90 {

constexpr int kProductWarps = kSumWarps;
constexpr int kFillWarp = kProductWarps;
constexpr int kFinishWarp = kProductWarps + 1;
constexpr int kStreamGemmThreads = (kProductWarps + 2) * kWarp;
constexpr int kWarpColumns = kChunkColumns / kProductWarps;
constexpr int kWarpSteps = kWarpColumns / kStepColumns;
constexpr int kGroupTiles = 4;
constexpr int kMostRows = 16;
constexpr int kSharedRows = 2;  // up to which x is normalised through shared memory

constexpr uint32_t kChunkBlocks = kChunkColumns / kBlockColumns;
constexpr uint32_t kStageBytes = kChunkBlocks * kBlockBytes;
// Of up to kRows rows, whatever their number.
template <int kHalves>
using TileParts = PartialTiles<8 * kHalves, 1>;
// More than half of an SM's shared memory, so that no two blocks share one.
constexpr uint32_t kLeastSharedBytes = 120 * 1024;

// Where what lies in shared memory, in bytes from its start.
struct StreamGemmLayout {
  uint32_t parts;        // TileParts, behind the stages
  uint32_t norm_weight;  // f32 [chunks · kChunkColumns]
  uint32_t squares;      // f32 [chunks · kProductWarps, kMostRows], of each warp's columns
  uint32_t shared_x;     // bf16 [kSharedRows, chunks · kChunkColumns]
  uint32_t barriers;
  uint32_t bytes;

  __host__ __device__ explicit StreamGemmLayout(const StreamGemmParams& p) {
    const auto stages = static_cast<uint32_t>(p.stages);
    const uint32_t normed = p.norm_weight == nullptr ? 0 : static_cast<uint32_t>(p.chunks);
    parts = stages * kStageBytes;
    norm_weight = parts + TileParts<2>::kValueBytes;
    squares = norm_weight + normed * kChunkColumns * 4;
    shared_x = squares + normed * kProductWarps * kMostRows * 4;
    barriers = shared_x + normed * kSharedRows * kChunkColumns * 2;
    bytes = barriers + stages * Ring::kBarrierBytes + TileParts<2>::kBarrierBytes;
    if (bytes < kLeastSharedBytes) bytes = kLeastSharedBytes;
  }
};

// A block's shared memory and its part of the tiles.
struct StreamGemmBlock {
  uint8_t* memory;
  StreamGemmLayout layout;
  Ring weights;
  int first_tile;
  int end_tile;

  __device__ StreamGemmBlock(const StreamGemmParams& p, uint8_t* shared)
      : memory(shared),
        layout(p),
        weights(shared_address(shared), shared_address(shared) + layout.barriers,
                static_cast<uint32_t>(p.stages), kStageBytes),
        first_tile(static_cast<int>(int64_t{p.tiles} * blockIdx.x / gridDim.x)),
        end_tile(static_cast<int>(int64_t{p.tiles} * (blockIdx.x + 1) / gridDim.x)) {}

  __device__ float* norm_weight() const {
    return reinterpret_cast<float*>(memory + layout.norm_weight);
  }
  __device__ __nv_bfloat16* shared_x() const {
    return reinterpret_cast<__nv_bfloat16*>(memory + layout.shared_x);
  }
  __device__ float* squares() const { return reinterpret_cast<float*>(memory + layout.squares); }
  template <int kHalves>
  __device__ TileParts<kHalves> parts(const StreamGemmParams& p) const {
    const uint32_t own_barriers =
        layout.barriers + static_cast<uint32_t>(p.stages) * Ring::kBarrierBytes;
    return {memory + layout.parts, shared_address(memory) + own_barriers};
  }
};

// ---- The warp that fills the ring ----

// Chunks of tiles in the order in which the other warps take them.
template <int kChunks>
__device__ void fill_ring(const StreamGemmParams& p, const StreamGemmBlock& block,
                          const CUtensorMap& map) {
  constexpr int kTiles = kChunks > 0 ? 1 : kGroupTiles;
  const uint64_t policy = evict_first();
  RingPlace at;
  for (int group = block.first_tile; group < block.end_tile; group += kTiles) {
    const int end = min(group + kTiles, block.end_tile);
    for (int chunk = 0; chunk < p.chunks; ++chunk) {
      for (int tile = group; tile < end; ++tile) {
        block.weights.await_free(at, kStageBytes);
        copy_box(block.weights.stage(at), map, 0, tile * kBoxRows,
                 chunk * static_cast<int>(kChunkBlocks), block.weights.filled(at), policy);
        block.weights.advance(at);
      }
    }
  }
}

// ---- The warps that multiply ----

// This lane's columns of a chunk of x: rows g, and g + 8 with two halves.
template <int kHalves>
struct XChunk {
  uint4 rows[kHalves][kWarpSteps];
};

// The first of this lane's columns.
__device__ inline int lane_column(int warp, int chunk, int step) {
  return chunk * kChunkColumns + warp * kWarpColumns + step * kStepColumns +
         static_cast<int>(threadIdx.x) % 4 * 8;
}
__device__ inline int lane_row(int half) {
  return static_cast<int>(threadIdx.x) % kWarp / 4 + half * 8;
}

// Zeros beyond x.
template <int kHalves>
__device__ XChunk<kHalves> load_x(const StreamGemmParams& p, int warp, int chunk) {
  XChunk<kHalves> x;
#pragma unroll
  for (int half = 0; half < kHalves; ++half) {
    const int row = lane_row(half);
    const auto* from = static_cast<const __nv_bfloat16*>(p.x) + row * p.x_stride;
#pragma unroll
    for (int step = 0; step < kWarpSteps; ++step) {
      const int column = lane_column(warp, chunk, step);
      x.rows[half][step] = row < p.rows && column < p.k
                               ? *reinterpret_cast<const uint4*>(from + column)
                               : make_uint4(0, 0, 0, 0);
    }
  }
  return x;
}

__device__ inline float low_half(uint32_t pair) { return __uint_as_float(pair << 16); }
__device__ inline float high_half(uint32_t pair) { return __uint_as_float(pair & 0xffff0000u); }

// Σ x² over a lane's 8 columns.
__device__ inline float sum_of_squares(uint4 x) {
  const uint32_t pairs[] = {x.x, x.y, x.z, x.w};
  float sum = 0;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    sum = __fmaf_rn(low_half(pairs[i]), low_half(pairs[i]), sum);
    sum = __fmaf_rn(high_half(pairs[i]), high_half(pairs[i]), sum);
  }
  return sum;
}

// Over `kLanes` neighbouring lanes.
template <int kLanes>
__device__ float sum_of_lanes(float value) {
#pragma unroll
  for (int step = 1; step < kLanes; step *= 2) value += __shfl_xor_sync(kAllLanes, value, step);
  return value;
}

// Where Σ x² over the warp's columns of a chunk stands, for a row.
__device__ inline float& squares_of(const StreamGemmBlock& block, int warp, int chunk, int row) {
  return block.squares()[(chunk * kProductWarps + warp) * kMostRows + row];
}

// What RMSNorm multiplies a row by. norm.cu's row_sum() adds up 256 columns in a tree, of which
// these are the last additions, and then such sums in order.
template <int kChunks>
__device__ float norm_scale(const StreamGemmParams& p, const StreamGemmBlock& block, int row) {
  float sum = 0;
#pragma unroll
  for (int chunk = 0; chunk < kChunks; ++chunk) {
#pragma unroll
    for (int warp = 0; warp < kProductWarps; warp += 2) {
      sum += squares_of(block, warp, chunk, row) + squares_of(block, warp + 1, chunk, row);
    }
  }
  return __fdiv_rn(1.0f, __fsqrt_rn(sum / static_cast<float>(p.k) + p.norm_eps));
}

__device__ inline uint32_t normalize_pair(uint32_t x, float low_weight, float high_weight,
                                          float scale) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low_weight * (low_half(x) * scale),
                                                    high_weight * (high_half(x) * scale));
  return *reinterpret_cast<const uint32_t*>(&pair);
}

// 8 elements from `column` on.
__device__ inline uint4 normalize(uint4 x, const StreamGemmBlock& block, int column, float scale) {
  const auto* weights = reinterpret_cast<const float4*>(block.norm_weight() + column);
  const float4 first = weights[0], second = weights[1];
  return make_uint4(normalize_pair(x.x, first.x, first.y, scale),
                    normalize_pair(x.y, first.z, first.w, scale),
                    normalize_pair(x.z, second.x, second.y, scale),
                    normalize_pair(x.w, second.z, second.w, scale));
}

// The norm's weight to shared memory, zeros behind it.
__device__ inline void load_norm_weight(const StreamGemmParams& p, const StreamGemmBlock& block) {
  const auto* from = static_cast<const __nv_bfloat16*>(p.norm_weight);
  for (int column = static_cast<int>(threadIdx.x) * 8; column < p.chunks * kChunkColumns;
       column += kProductWarps * kWarp * 8) {
    const uint4 pack =
        column < p.k ? *reinterpret_cast<const uint4*>(from + column) : make_uint4(0, 0, 0, 0);
    auto* to = reinterpret_cast<float4*>(block.norm_weight() + column);
    to[0] = make_float4(low_half(pack.x), high_half(pack.x), low_half(pack.y), high_half(pack.y));
    to[1] = make_float4(low_half(pack.z), high_half(pack.z), low_half(pack.w), high_half(pack.w));
  }
}

// Among the warps that multiply.
__device__ inline void product_warps_meet() {
  asm volatile("bar.sync 1, %0;" ::"n"(kProductWarps * kWarp) : "memory");
}

// Adds a chunk of a tile to its sums, and gives its stage back.
template <int kHalves>
__device__ void add_chunk(const StreamGemmBlock& block, RingPlace& at, const BoxReader& box,
                          const XChunk<kHalves>& x, TileSums& sums) {
  block.weights.await_filled(at);
#pragma unroll
  for (int step = 0; step < kWarpSteps; ++step) {
    const uint4 high = kHalves == 2 ? x.rows[kHalves - 1][step] : make_uint4(0, 0, 0, 0);
    sums.add(x.rows[0][step], high, box.read(block.weights.stage(at), step));
  }
  block.weights.release(at, sums.even[0], sums.odd[0]);
  block.weights.advance(at);
}

// Loads and normalises x of at most kSharedRows rows. As x is dealt to lanes, most of them would
// have nothing but zeros: here each takes 8 columns of a row at a time, and puts them to shared
// memory.
template <int kChunks>
__device__ void normalize_together(const StreamGemmParams& p, const StreamGemmBlock& block,
                                   int warp, XChunk<1> (&x)[kChunks]) {
  constexpr int kPackLanes = kWarpColumns / 8;  // that have a chunk's columns of the warp
  constexpr int kChunksAtATime = kWarp / kPackLanes;
  constexpr int kPasses = (kChunks + kChunksAtATime - 1) / kChunksAtATime;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const auto chunk_of = [&](int pass) { return pass * kChunksAtATime + lane / kPackLanes; };
  const auto column_of = [&](int pass) {
    return chunk_of(pass) * kChunkColumns + warp * kWarpColumns + lane % kPackLanes * 8;
  };
  uint4 packs[kSharedRows][kPasses];
#pragma unroll
  for (int row = 0; row < kSharedRows; ++row) {
    const auto* from = static_cast<const __nv_bfloat16*>(p.x) + row * p.x_stride;
#pragma unroll
    for (int pass = 0; pass < kPasses; ++pass) {
      const int column = column_of(pass);
      packs[row][pass] = row < p.rows && column < p.k
                             ? *reinterpret_cast<const uint4*>(from + column)
                             : make_uint4(0, 0, 0, 0);
    }
  }
#pragma unroll
  for (int row = 0; row < kSharedRows; ++row) {
    if (row >= p.rows) break;
#pragma unroll
    for (int pass = 0; pass < kPasses; ++pass) {
      const float sum = sum_of_lanes<kPackLanes>(sum_of_squares(packs[row][pass]));
      const int chunk = chunk_of(pass);
      if (lane % kPackLanes == 0 && chunk < kChunks) squares_of(block, warp, chunk, row) = sum;
    }
  }
  product_warps_meet();
  const auto shared = [&](int row, int column) {
    return reinterpret_cast<uint4*>(block.shared_x() + row * kChunks * kChunkColumns + column);
  };
#pragma unroll
  for (int row = 0; row < kSharedRows; ++row) {
    if (row >= p.rows) break;
    const float scale = norm_scale<kChunks>(p, block, row);
#pragma unroll
    for (int pass = 0; pass < kPasses; ++pass) {
      if (chunk_of(pass) >= kChunks) continue;
      const int column = column_of(pass);
      *shared(row, column) = normalize(packs[row][pass], block, column, scale);
    }
  }
  __syncwarp();
#pragma unroll
  for (int chunk = 0; chunk < kChunks; ++chunk) {
#pragma unroll
    for (int step = 0; step < kWarpSteps; ++step) {
      x[chunk].rows[0][step] = lane_row(0) < p.rows
                                   ? *shared(lane_row(0), lane_column(warp, chunk, step))
                                   : make_uint4(0, 0, 0, 0);
    }
  }
}

// The scale of this lane's row, whose x is in registers as it is multiplied.
template <int kChunks>
__device__ float scale_of_lanes(const StreamGemmParams& p, const StreamGemmBlock& block, int warp,
                                const XChunk<1> (&x)[kChunks]) {
  static_assert(kWarpSteps == 4);
#pragma unroll
  for (int chunk = 0; chunk < kChunks; ++chunk) {
    float sums[kWarpSteps];
#pragma unroll
    for (int step = 0; step < kWarpSteps; ++step) {
      sums[step] = sum_of_lanes<4>(sum_of_squares(x[chunk].rows[0][step]));
    }
    if (threadIdx.x % 4 == 0) {
      squares_of(block, warp, chunk, lane_row(0)) = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    }
  }
  product_warps_meet();
  return norm_scale<kChunks>(p, block, lane_row(0));
}

template <int kChunks, int kHalves>
__device__ void multiply_resident(const StreamGemmParams& p, const StreamGemmBlock& block,
                                  int warp) {
  XChunk<kHalves> x[kChunks];
  const bool normed = p.norm_weight != nullptr, together = normed && p.rows <= kSharedRows;
  float scale = 0;
  if constexpr (kHalves == 1) {
    if (together) normalize_together<kChunks>(p, block, warp, x);
  }
  if (!together) {
#pragma unroll
    for (int chunk = 0; chunk < kChunks; ++chunk) x[chunk] = load_x<kHalves>(p, warp, chunk);
    if constexpr (kHalves == 1) {
      if (normed) scale = scale_of_lanes<kChunks>(p, block, warp, x);
    }
  }
  const BoxReader box(warp * kWarpSteps);
  RingPlace at;
  TileParts<kHalves> parts = block.parts<kHalves>(p);
  for (int tile = block.first_tile; tile < block.end_tile; ++tile) {
    TileSums sums[1];
#pragma unroll
    for (int chunk = 0; chunk < kChunks; ++chunk) {
      if constexpr (kHalves == 1) {
        // Not all of x at once: the first stage is free the sooner.
        if (normed && !together && tile == block.first_tile) {
#pragma unroll
          for (int step = 0; step < kWarpSteps; ++step) {
            uint4& pack = x[chunk].rows[0][step];
            pack = normalize(pack, block, lane_column(warp, chunk, step), scale);
          }
        }
      }
      add_chunk(block, at, box, x[chunk], sums[0]);
    }
    parts.put(warp, sums);
  }
}

template <int kHalves>
__device__ void multiply_in_groups(const StreamGemmParams& p, const StreamGemmBlock& block,
                                   int warp) {
  const BoxReader box(warp * kWarpSteps);
  RingPlace at;
  TileParts<kHalves> parts = block.parts<kHalves>(p);
  XChunk<kHalves> next = load_x<kHalves>(p, warp, 0);
  for (int group = block.first_tile; group < block.end_tile; group += kGroupTiles) {
    TileSums sums[kGroupTiles][1];
    for (int chunk = 0; chunk < p.chunks; ++chunk) {
      const XChunk<kHalves> x = next;
      next = load_x<kHalves>(p, warp, chunk + 1 < p.chunks ? chunk + 1 : 0);
#pragma unroll
      for (int i = 0; i < kGroupTiles; ++i) {
        if (group + i < block.end_tile) add_chunk(block, at, box, x, sums[i][0]);
      }
    }
#pragma unroll
    for (int i = 0; i < kGroupTiles; ++i) {
      if (group + i < block.end_tile) parts.put(warp, sums[i]);
    }
  }
}

template <int kChunks, int kHalves>
__device__ void multiply(const StreamGemmParams& p, const StreamGemmBlock& block, int warp) {
  if (!p.constant_weights) await_predecessor();
  if (p.norm_weight != nullptr) load_norm_weight(p, block);
  await_predecessor();
  if constexpr (kChunks > 0) {
    multiply_resident<kChunks, kHalves>(p, block, warp);
  } else {
    multiply_in_groups<kHalves>(p, block, warp);
  }
}

// ---- The warp that finishes tiles ----

// Two neighbours in one access; `from` is aligned to both.
__device__ inline float2 load_pair(const float* from) {
  return *reinterpret_cast<const float2*>(from);
}
__device__ inline float2 load_pair(const __nv_bfloat16* from) {
  return __bfloat1622float2(*reinterpret_cast<const __nv_bfloat162*>(from));
}

// Epilogue and rounding of columns `column`, column + 1 of the product, in a row of y.
template <typename Y>
__device__ void finish_pair(const StreamGemmParams& p, int row, int column, float2 sum,
                            float2 residual) {
  Y* y = static_cast<Y*>(p.y) + row * p.y_stride;
  if (p.swiglu) {
    const Y value = from_f32<Y>(silu(sum.x) * sum.y);
    y[column / 2] =
        p.residual == nullptr ? value : from_f32<Y>(__fadd_rn(to_f32(value), residual.x));
    return;
  }
  if (p.residual != nullptr) {
    sum.x = __fadd_rn(to_f32(from_f32<Y>(sum.x)), residual.x);
    sum.y = __fadd_rn(to_f32(from_f32<Y>(sum.y)), residual.y);
  }
  store_pair(y + column, sum.x, sum.y);
}

template <typename Y>
__device__ float2 load_residual(const StreamGemmParams& p, int row, int column) {
  if (p.residual == nullptr || row >= p.rows) return make_float2(0, 0);
  const Y* from = static_cast<const Y*>(p.residual) + row * p.residual_stride;
  if (!p.swiglu) return load_pair(from + column);
  return make_float2(to_f32(from[column / 2]), 0);
}

// What is added to a tile's product: this lane's part.
template <int kHalves>
struct Addends {
  float2 bias;
  float2 residual[kHalves];
};

// The first of this lane's two columns.
__device__ inline int tile_column(int tile) {
  return tile * kBoxRows + static_cast<int>(threadIdx.x) % 4 * 2;
}

template <typename Y, int kHalves>
__device__ Addends<kHalves> load_addends(const StreamGemmParams& p, int tile) {
  Addends<kHalves> addends;
  addends.bias = make_float2(0, 0);
  if (p.bias != nullptr) {
    addends.bias = load_pair(static_cast<const __nv_bfloat16*>(p.bias) + tile_column(tile));
  }
#pragma unroll
  for (int half = 0; half < kHalves; ++half) {
    addends.residual[half] = load_residual<Y>(p, lane_row(half), tile_column(tile));
  }
  return addends;
}

template <typename Y, int kHalves>
__device__ void finish_tile(const StreamGemmParams& p, TileParts<kHalves>& parts, int tile,
                            const Addends<kHalves>& addends) {
  float2 sums[kHalves];
  parts.take(sums);
#pragma unroll
  for (int half = 0; half < kHalves; ++half) {
    const int row = lane_row(half);
    const float2 sum = make_float2(sums[half].x + addends.bias.x, sums[half].y + addends.bias.y);
    if (row < p.rows) finish_pair<Y>(p, row, tile_column(tile), sum, addends.residual[half]);
  }
}

// Tiles come in groups, or in a burst when x arrives behind a full ring: what is added to a group
// is loaded while the one before it is finished.
template <typename Y, int kHalves>
__device__ void finish_tiles(const StreamGemmParams& p, const StreamGemmBlock& block) {
  Addends<kHalves> next[kGroupTiles];
  const auto load_group = [&](int group) {
#pragma unroll
    for (int i = 0; i < kGroupTiles; ++i) {
      if (group + i < block.end_tile) next[i] = load_addends<Y, kHalves>(p, group + i);
    }
  };
  load_group(block.first_tile);
  TileParts<kHalves> parts = block.parts<kHalves>(p);
  for (int group = block.first_tile; group < block.end_tile; group += kGroupTiles) {
    Addends<kHalves> now[kGroupTiles];
#pragma unroll
    for (int i = 0; i < kGroupTiles; ++i) now[i] = next[i];
    load_group(group + kGroupTiles);
#pragma unroll
    for (int i = 0; i < kGroupTiles; ++i) {
      if (group + i < block.end_tile) finish_tile<Y>(p, parts, group + i, now[i]);
    }
  }
}

// ---- The kernel ----

template <int kChunks, int kHalves>
__global__ void __launch_bounds__(kStreamGemmThreads, 1)
    stream_gemm_kernel(const __grid_constant__ CUtensorMap map,
                       const __grid_constant__ StreamGemmParams p) {
  extern __shared__ __align__(1024) uint8_t memory[];
  const StreamGemmBlock block(p, memory);
  const auto warp = __shfl_sync(kAllLanes, static_cast<int32_t>(threadIdx.x / kWarp), 0);
  if (threadIdx.x == kFillWarp * kWarp) {
    prefetch_tensor_map(map);
    block.weights.init(kProductWarps);
    block.parts<kHalves>(p).init();
    publish_barriers();
  }
  release_successor();
  __syncthreads();
  if (warp < kProductWarps) {
    multiply<kChunks, kHalves>(p, block, warp);
  } else if (warp == kFillWarp) {
    if (!p.constant_weights) await_predecessor();
    if (threadIdx.x % kWarp == 0) fill_ring<kChunks>(p, block, map);
    __syncwarp();
    await_predecessor();
  } else {
    await_predecessor();
    if (p.f32_y) {
      finish_tiles<float, kHalves>(p, block);
    } else {
      finish_tiles<__nv_bfloat16, kHalves>(p, block);
    }
  }
}

template <int kChunks, int kHalves>
void launch_stream_gemm(const CUtensorMap& weights, const StreamGemmParams& params,
                        const KernelStream& on, int blocks) {
  const auto kernel = stream_gemm_kernel<kChunks, kHalves>;
  const uint32_t bytes = StreamGemmLayout(params).bytes;
  cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                       static_cast<int>(bytes));
  launch_kernel(on,
                {.grid = dim3(static_cast<unsigned>(blocks)),
                 .block = dim3(kStreamGemmThreads),
                 .shared_bytes = bytes},
                kernel, weights, params);
}

}  // namespace braid::kernels::cuda::sm90

// What the parts of the decode attention's kernel share: its parameters, where things lie in shared
// memory, and which units a block takes.
#pragma once

#include "kernels/attention/cuda/decode_attention.h"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/stream_ring.cuh"

namespace braid::kernels::cuda::sm90_decode {

using namespace sm90;

inline constexpr int kComputeWarps = 4;
inline constexpr int kComputeThreads = kComputeWarps * kWarp;
inline constexpr int kFillWarps = 4;
inline constexpr int kThreads = kComputeThreads + kFillWarps * kWarp;
inline constexpr int kBlocksPerSm = 2;
// Registers of a thread, of which there are 128 on average.
inline constexpr int kComputeRegisters = 200;
inline constexpr int kFillRegisters = 56;
static_assert(kFillWarps == kComputeWarps && kComputeRegisters + kFillRegisters == 2 * 128);
inline constexpr int kHeadRows = 16;  // query heads of a group, as rows of a product

inline constexpr int kHalf = 64;  // positions of a stage; a leaf has two of keys, two of values
inline constexpr int kHalves = kLeafPositions / kHalf;
inline constexpr uint32_t kRingBytes = 96 * 1024;

// What the kernel is told. Matrices of the cache count from the K and V of KV head 0.
struct Step {
  PagedRows rows;
  const int32_t* kv_slots;
  Matrix<const bf16> qkv;
  const bf16 *q_norm, *k_norm;
  Matrix<const float> rotary_table;
  const int32_t* header;  // of the plan
  const DecodeShare* shares;
  int32_t* arrivals;
  int32_t capacity;  // of shares
  Matrix<bf16> cache;
  Matrix<bf16> out;
  float* parts;
  int32_t num_kv_heads, group, page_size;
  int32_t rotary_dims;
  float eps;
  float scale;  // of scores, in units of log 2
};

// Columns of a head are handled in packs of 16 bytes. In shared memory, pack p of row r of keys or
// values stands at p XOR r mod 8, so that reading a column of packs meets all banks.
template <int kHeadDim>
struct Layout {
  static constexpr int kPacks = kHeadDim / kPack;
  static constexpr uint32_t kRowBytes = kHeadDim * sizeof(bf16);
  static constexpr uint32_t kStageBytes = kHalf * kRowBytes;
  static constexpr uint32_t kStages = kRingBytes / kStageBytes;
  // Rows of queries and weights are 16 bytes longer than they need be, for the same reason.
  static constexpr uint32_t kQueryStride = kRowBytes + 16;
  static constexpr uint32_t kWeightStride = kLeafPositions * sizeof(bf16) + 16;

  static constexpr uint32_t kQueries = kRingBytes;                           // bf16 [16, head_dim]
  static constexpr uint32_t kWeights = kQueries + kHeadRows * kQueryStride;  // bf16 [16, 128]
  static constexpr uint32_t kNewest = kWeights + kHeadRows * kWeightStride;  // bf16 [2, head_dim]
  static constexpr uint32_t kPeaks = kNewest + 2 * kRowBytes;                // f32 [warps, 16]
  static constexpr uint32_t kSums = kPeaks + kComputeWarps * kHeadRows * 4;  // f32 [warps, 16]
  static constexpr uint32_t kIsLast = kSums + kComputeWarps * kHeadRows * 4;
  static constexpr uint32_t kBarriers = kIsLast + 16;
  static constexpr uint32_t kBytes = kBarriers + kStages * Ring::kBarrierBytes;

  __device__ static uint32_t place(uint32_t row, uint32_t pack) {
    return row * kRowBytes + (pack ^ (row % 8)) * 16;
  }
};

__device__ inline void await_compute_warps() {
  asm volatile("bar.sync 1, %0;" ::"n"(kComputeThreads) : "memory");
}

// A block's walk over its units.
struct Walk {
  int32_t unit;  // share · num_kv_heads + KV head
  int32_t num_units;
  int32_t share_leaves;
  DecodeShare share;

  __device__ explicit Walk(const Step& step) : unit(static_cast<int32_t>(blockIdx.x)) {
    // Both loads are under way at once; what isn't a share is not looked at.
    const int2 header = *reinterpret_cast<const int2*>(step.header);
    load(step);
    num_units = header.x * step.num_kv_heads;
    share_leaves = header.y;
  }
  __device__ void advance(const Step& step) {
    unit += static_cast<int32_t>(gridDim.x);
    if (more()) load(step);
  }
  __device__ void load(const Step& step) {
    const int32_t index = min(unit / step.num_kv_heads, step.capacity - 1);
    const int4 words = reinterpret_cast<const int4*>(step.shares)[index];
    share = {words.x, words.y, words.z, words.w};
  }
  __device__ bool more() const { return unit < num_units; }
  __device__ int32_t head(const Step& step) const { return unit % step.num_kv_heads; }
  __device__ int32_t leaves() const {
    return min(share_leaves, leaves_of(share.length) - share.first_leaf);
  }
  __device__ bool has_newest() const {
    return share.first_leaf + share_leaves >= leaves_of(share.length);
  }
};

}  // namespace braid::kernels::cuda::sm90_decode

// Products whose sum over K is shared by eight warps, each of which has the same columns of every
// box: a ninth warp adds their parts in the order of the warps, so that the sum is always the same.
#pragma once

#include "kernels/cuda/stream_ring.cuh"

namespace braid::kernels::cuda::sm90 {

inline constexpr int kSumWarps = 8;

// A few buffers in shared memory through which parts f32 [kTiles, kRows, 8] of the eight warps
// pass.
template <int kRows, int kTiles>
class PartialTiles {
 public:
  static constexpr int kBuffers = kTiles == 1 ? 4 : 3;
  static constexpr int kTileElements = kRows * kBoxRows;
  static constexpr int kPartElements = kTiles * kTileElements;
  static constexpr int kValueBytes = kBuffers * kSumWarps * kPartElements * 4;
  static constexpr int kBarrierBytes = kBuffers * 16;
  static constexpr int kHalves = kRows / 8;

  // Shared memory of kValueBytes and kBarrierBytes, at multiples of 16.
  __device__ PartialTiles(uint8_t* values, uint32_t barriers)
      : values_(reinterpret_cast<float*>(values)), barriers_(barriers) {}

  // By one thread, once; publish_barriers() and __syncthreads() follow.
  __device__ void init() const {
    for (uint32_t buffer = 0; buffer < kBuffers; ++buffer) {
      barrier_init(whole(buffer), kSumWarps);
      barrier_init(free(buffer), 1);
    }
  }

  // A warp of the sums hands over its part of the next tiles.
  __device__ void put(int warp, const TileSums (&sums)[kTiles]) {
    float* const part = await_free(warp);
    const uint32_t lane = threadIdx.x % 32;
    const uint32_t at = lane / 4 * kBoxRows + lane % 4 * 2;
#pragma unroll
    for (int i = 0; i < kTiles * kHalves; ++i) {
      const TileSums& tile = sums[i / kHalves];
      const int half = i % kHalves;
      *reinterpret_cast<float2*>(part + i * 8 * kBoxRows + at) =
          make_float2(tile.at(2 * half), tile.at(2 * half + 1));
    }
    hand_over();
  }
  // The same where only row `row` of the tiles is wanted.
  __device__ void put_row(int warp, const TileSums (&sums)[kTiles], int row) {
    float* const part = await_free(warp);
    const int lane = static_cast<int>(threadIdx.x % 32);
    if (lane / 4 == row % 8) {
#pragma unroll
      for (int tile = 0; tile < kTiles; ++tile) {
        const TileSums& sum = sums[tile];
        *reinterpret_cast<float2*>(part + tile * kTileElements + lane % 4 * 2) =
            row >= 8 ? make_float2(sum.at(2), sum.at(3)) : make_float2(sum.at(0), sum.at(1));
      }
    }
    hand_over();
  }

  // The merging warp's sums of the next tiles: columns 2 t and 2 t + 1 of rows g and g + 8.
  __device__ void take(float2 (&sums)[kTiles * kHalves]) {
    const uint32_t lane = threadIdx.x % 32;
    add_parts<8 * kBoxRows>(lane / 4 * kBoxRows + lane % 4 * 2, sums);
  }
  // Of what put_row() brought, in every four lanes.
  __device__ void take_row(float2 (&sums)[kTiles]) {
    add_parts<kTileElements>(threadIdx.x % 4 * 2, sums);
  }

 private:
  __device__ uint32_t whole(uint32_t buffer) const { return barriers_ + buffer * 16; }
  __device__ uint32_t free(uint32_t buffer) const { return whole(buffer) + 8; }
  __device__ float* buffer() const {
    return values_ + at_.slot * static_cast<uint32_t>(kSumWarps * kPartElements);
  }
  __device__ void advance() {
    if (++at_.slot < kBuffers) return;
    at_.slot = 0;
    at_.parity ^= 1u;
  }

  __device__ float* await_free(int warp) const {
    barrier_wait(free(at_.slot), at_.parity ^ 1u);
    return buffer() + warp * kPartElements;
  }
  __device__ void hand_over() {
    __syncwarp();
    if (threadIdx.x % 32 == 0) barrier_arrive(whole(at_.slot));
    advance();
  }

  template <int kDistance, int kCount>
  __device__ void add_parts(uint32_t at, float2 (&sums)[kCount]) {
    barrier_wait(whole(at_.slot), at_.parity);
    __syncwarp();
    const float* const parts = buffer() + at;
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      sums[i] = make_float2(0, 0);
#pragma unroll
      for (int warp = 0; warp < kSumWarps; ++warp) {
        const float2 part =
            *reinterpret_cast<const float2*>(parts + warp * kPartElements + i * kDistance);
        sums[i].x += part.x;
        sums[i].y += part.y;
      }
    }
    // As Ring::release(): the address is known once all parts are read.
    bool never = false;
#pragma unroll
    for (int i = 0; i < kCount; ++i) never |= __float_as_uint(sums[i].x) == kNeverASum;
    __syncwarp();
    if (threadIdx.x % 32 == 0) barrier_arrive(free(at_.slot) + (never ? 8u : 0u));
    advance();
  }
  static constexpr uint32_t kNeverASum = 0x7fc12345u;

  float* values_;
  uint32_t barriers_;
  RingPlace at_;
};

}  // namespace braid::kernels::cuda::sm90

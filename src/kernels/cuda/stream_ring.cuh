// What kernels share that stream weights through shared memory past a few rows of x: a ring of
// stages, which one warp fills by bulk copies and others empty, and products of 16 rows of x with 8
// rows of weights on tensor cores.
//
// A stage is a box of weights: 8 rows by `blocks` times 64 columns, copied by one instruction from
// the tensor map that weight_boxes() (tensor_map.h) makes. Such kernels keep three habits, each
// measured:
// - They ask for more than half of an SM's shared memory. Were there room for two blocks, a kernel
//   that starts early would find its blocks spread unevenly.
// - Some 100 KB or more are on their way to each SM; no box is smaller than 8 KB.
// - The L2 cache is told to drop weights first, and to fetch no more than is asked for.
#pragma once

#include <cuda.h>

#include <cstdint>

#include "kernels/gemm/cuda/sm90_async.cuh"

namespace braid::kernels::cuda::sm90 {

// Where a warp stands in a ring.
struct RingPlace {
  uint32_t slot = 0;
  uint32_t parity = 0;  // of the rounds made so far
};

// The stages, and two barriers for each: one tells that it is filled, the other that it is free.
class Ring {
 public:
  static constexpr uint32_t kBarrierBytes = 16;  // of a stage

  // `stages` is the shared address of the first, a multiple of 1024; `barriers` that of
  // num_stages · kBarrierBytes bytes, a multiple of 8.
  __device__ Ring(uint32_t stages, uint32_t barriers, uint32_t num_stages, uint32_t stage_bytes)
      : stages_(stages), barriers_(barriers), num_stages_(num_stages), stage_bytes_(stage_bytes) {}

  // By one thread, once; publish_barriers() and __syncthreads() follow. `consumers`: how many warps
  // release a stage. `fillers`: how many threads' copies fill it.
  __device__ void init(uint32_t consumers, uint32_t fillers = 1) const {
    for (uint32_t slot = 0; slot < num_stages_; ++slot) {
      barrier_init(filled({slot, 0}), fillers);
      barrier_init(free({slot, 0}), consumers);
    }
  }

  // The filling warp's one thread waits until a stage is free and announces the bytes of its
  // copies, which go to stage() and signal filled().
  __device__ void await_free(RingPlace at, uint32_t bytes) const {
    barrier_wait(free(at), at.parity ^ 1u);
    barrier_arrive_expect(filled(at), bytes);
  }
  // The same for warps whose copies arrive at filled() by themselves.
  __device__ void await_free(RingPlace at) const {
    barrier_wait(free(at), at.parity ^ 1u);
    __syncwarp();
  }
  __device__ uint32_t stage(RingPlace at) const { return stages_ + at.slot * stage_bytes_; }
  __device__ uint32_t filled(RingPlace at) const { return barriers_ + at.slot * kBarrierBytes; }

  // All lanes of an emptying warp.
  __device__ void await_filled(RingPlace at) const {
    barrier_wait(filled(at), at.parity);
    __syncwarp();
  }

  // All lanes of an emptying warp give the stage back; `even` and `odd` are sums that what it read
  // last from the stage went into. Without them the arrival could overtake loads that are still on
  // their way, and the next copy overwrite what they fetch: __syncwarp() doesn't wait for loads.
  __device__ void release(RingPlace at, float even, float odd) const {
    // A NaN that tensor cores never make: theirs is 0x7fffffff. So the address is always free(at),
    // but only known once the sums are.
    constexpr uint32_t kNeverASum = 0x7fc12345u;
    const bool never = __float_as_uint(even) == kNeverASum || __float_as_uint(odd) == kNeverASum;
    __syncwarp();
    if (threadIdx.x % 32 == 0) barrier_arrive(free(at) + (never ? kBarrierBytes : 0u));
  }

  // `steps` ≤ the number of stages.
  __device__ void advance(RingPlace& at, uint32_t steps = 1) const {
    at.slot += steps;
    if (at.slot >= num_stages_) {
      at.slot -= num_stages_;
      at.parity ^= 1u;
    }
  }

 private:
  __device__ uint32_t free(RingPlace at) const { return filled(at) + 8; }

  uint32_t stages_;
  uint32_t barriers_;
  uint32_t num_stages_;
  uint32_t stage_bytes_;
};

// The columns of a product are dealt to lanes so that each takes 16 bytes of a row at a time: in a
// step of 32 columns, lane 4 g + t has columns 8 t … 8 t + 7 of weight row g, and of rows g and
// g + 8 of x. Two multiplications of 16 columns make a step: the first takes the words x and y of
// each 16 bytes, the second z and w. They have sums of their own, so that neither waits.
inline constexpr int kStepColumns = 32;
inline constexpr int kBoxRows = 8;
inline constexpr int kBlockColumns = 64;  // 128 bytes, which the swizzle spans
inline constexpr uint32_t kBlockBytes = kBoxRows * kBlockColumns * 2;

// d += a · bᵀ: a [16, 16] as rows g and g + 8, b [8, 16], d [16, 8] of which a lane has columns
// 2 t, 2 t + 1 of row g, then of row g + 8.
__device__ inline void multiply_16x8x16(float (&d)[4], uint32_t low_x, uint32_t high_x,
                                        uint32_t low_y, uint32_t high_y, uint32_t weights_x,
                                        uint32_t weights_y) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(low_x), "r"(high_x), "r"(low_y), "r"(high_y), "r"(weights_x), "r"(weights_y));
}

// Sums of a tile of 16 rows by 8 columns, in the two halves that steps are added to.
struct TileSums {
  float even[4] = {};
  float odd[4] = {};

  // A step of 32 columns. `low`, `high`: rows g and g + 8 of x.
  __device__ void add(uint4 low, uint4 high, uint4 weights) {
    multiply_16x8x16(even, low.x, high.x, low.y, high.y, weights.x, weights.y);
    multiply_16x8x16(odd, low.z, high.z, low.w, high.w, weights.z, weights.w);
  }
  __device__ float at(int index) const { return even[index] + odd[index]; }
};

// This lane's part of the weights in a box, at `step` of the box's steps.
class BoxReader {
 public:
  __device__ explicit BoxReader(int first_step = 0) {
    const uint32_t lane = threadIdx.x % 32, row = lane / 4, piece = lane % 4;
    // The swizzle moves piece p of a block's row r to p XOR r.
    offset_ = static_cast<uint32_t>(first_step / 2) * kBlockBytes + row * 128 +
              ((piece + static_cast<uint32_t>(first_step % 2) * 4) ^ row) * 16;
  }
  // Steps count from first_step, which is even unless `step` is 0.
  __device__ uint4 read(uint32_t stage, int step) const {
    const uint32_t odd = static_cast<uint32_t>(step) % 2 * 64;
    return load_16(stage + (offset_ ^ odd) + static_cast<uint32_t>(step / 2) * kBlockBytes);
  }

 private:
  uint32_t offset_;
};

}  // namespace braid::kernels::cuda::sm90

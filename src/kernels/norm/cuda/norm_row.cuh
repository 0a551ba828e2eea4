// RMSNorm of one row, whoever takes it: the order in which squares are added is fixed by the number
// of columns, so that every kernel that normalises a row gives the same bits.
#pragma once

#include <algorithm>

#include "kernels/norm/cuda/norm_math.cuh"

namespace braid::kernels::cuda {

// Up to this many columns are normalised by one warp.
inline constexpr int kMaxWarpColumns = 1024;

// A row's squares are added as by this many threads: thread i takes packs i, i + threads, … in
// turn; the lanes of a warp are added (lane_squares()), then the warps in their order.
__host__ __device__ constexpr int norm_threads(int columns) {
  if (columns <= kMaxWarpColumns) return kWarp;
  const int packs = (columns + kPack * kWarp - 1) / (kPack * kWarp) * kWarp;
  return packs < 1024 ? packs : 1024;
}

// The sum over the lanes of one of the warps that share a row, the same bits in all of them:
// neighbours first, then all in a tree. The few-row GEMM normalises its rows itself, and adds in
// this order, too.
__device__ inline float lane_squares(float value) {
#pragma unroll
  for (int step = 1; step < kWarp; step *= 2) value += __shfl_xor_sync(kAllLanes, value, step);
  return value;
}

// The sum over the threads of a block that have a row. `shared` holds 32 elements.
__device__ inline float block_squares(float value, float* shared) {
  value = lane_squares(value);
  if (threadIdx.x % kWarp == 0) shared[threadIdx.x / kWarp] = value;
  __syncthreads();
  float sum = 0;
  for (unsigned i = 0; i < blockDim.x / kWarp; ++i) sum += shared[i];
  return sum;
}

template <typename T>
__device__ inline Pack<T> add_packs(const Pack<T>& a, const Pack<T>& b) {
  Pack<T> sum;
#pragma unroll
  for (int j = 0; j < kPack; ++j) {
    sum.values[j] = narrow<T>(widen(a.values[j]) + widen(b.values[j]));
  }
  return sum;
}

}  // namespace braid::kernels::cuda

// What device code shares: storage types, packs of elements, reductions over a warp and a block.
#pragma once

#include <cstdint>

#include "kernels/cuda/matrix.h"

namespace braid::kernels::cuda {

inline constexpr int kWarp = 32;
inline constexpr uint32_t kAllLanes = 0xffffffffu;

__device__ inline float widen(float value) { return value; }
__device__ inline float widen(bf16 value) {
  return __uint_as_float(static_cast<uint32_t>(value.bits) << 16);
}

// Rounds to the nearest, ties to even.
template <typename T>
__device__ T narrow(float value);
template <>
__device__ inline float narrow<float>(float value) {
  return value;
}
// Without branches: there are as many roundings as there are elements.
template <>
__device__ inline bf16 narrow<bf16>(float value) {
  uint16_t rounded;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(rounded) : "f"(value));
  const auto nan = static_cast<uint16_t>((__float_as_uint(value) >> 16) | 0x40u);
  return {value != value ? nan : rounded};
}

// Two numbers rounded at once, the first in the low half; every NaN becomes 0x7fff.
__device__ inline uint32_t narrow_two(float low, float high) {
  uint32_t words;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(words) : "f"(high), "f"(low));
  return words;
}

template <typename T>
struct alignas(16) Pack {
  T values[kPack];
};

// The elements of 16 bytes, and 16 bytes of elements.
__device__ inline Pack<bf16> pack_of(uint4 words) {
  const uint32_t all[] = {words.x, words.y, words.z, words.w};
  Pack<bf16> pack;
#pragma unroll
  for (int i = 0; i < kPack; ++i) {
    pack.values[i] = {static_cast<uint16_t>(all[i / 2] >> (i % 2 * 16))};
  }
  return pack;
}
__device__ inline uint4 words_of(const Pack<bf16>& pack) {
  const auto word = [&](int i) {
    return pack.values[i].bits | static_cast<uint32_t>(pack.values[i + 1].bits) << 16;
  };
  return make_uint4(word(0), word(2), word(4), word(6));
}

// Elements 0 … min(kPack, left) − 1 behind `from`, zeros after them. kPacked: all of them are
// there, on 16 bytes; the values are the same either way.
template <bool kPacked, typename T>
__device__ inline Pack<T> load_pack(const T* from, int64_t left) {
  if constexpr (kPacked) {
    return *reinterpret_cast<const Pack<T>*>(from);
  } else {
    Pack<T> pack{};
#pragma unroll
    for (int i = 0; i < kPack; ++i) {
      if (i < left) pack.values[i] = from[i];
    }
    return pack;
  }
}

template <bool kPacked, typename T>
__device__ inline void store_pack(T* to, int64_t left, const Pack<T>& pack) {
  if constexpr (kPacked) {
    *reinterpret_cast<Pack<T>*>(to) = pack;
  } else {
#pragma unroll
    for (int i = 0; i < kPack; ++i) {
      if (i < left) to[i] = pack.values[i];
    }
  }
}

// The sum over the warp's lanes, the same bits in all of them.
template <typename T>
__device__ inline T warp_sum(T value) {
#pragma unroll
  for (int step = kWarp / 2; step > 0; step /= 2) {
    value += __shfl_xor_sync(kAllLanes, value, step);
  }
  return value;
}

// The sum over lanes 0 … the own one.
template <typename T>
__device__ inline T warp_scan(T value) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
#pragma unroll
  for (int step = 1; step < kWarp; step *= 2) {
    const T before = __shfl_up_sync(kAllLanes, value, step);
    if (lane >= step) value += before;
  }
  return value;
}

// The sum over the threads of a block of whole warps, the same bits in all of them. `shared` holds
// 32 elements, which may be used again behind the next __syncthreads().
template <typename T>
__device__ inline T block_sum(T value, T* shared) {
  value = warp_sum(value);
  if (threadIdx.x % kWarp == 0) shared[threadIdx.x / kWarp] = value;
  __syncthreads();
  T sum = 0;
  for (unsigned i = 0; i < blockDim.x / kWarp; ++i) sum += shared[i];
  return sum;
}

// The sum over threads 0 … the own one; `total` that over all. `shared` as in block_sum().
template <typename T>
__device__ inline T block_scan(T value, T* shared, T& total) {
  value = warp_scan(value);
  const unsigned warp = threadIdx.x / kWarp;
  if (threadIdx.x % kWarp == kWarp - 1) shared[warp] = value;
  __syncthreads();
  total = 0;
  for (unsigned i = 0; i < blockDim.x / kWarp; ++i) {
    if (i < warp) value += shared[i];
    total += shared[i];
  }
  return value;
}

}  // namespace braid::kernels::cuda

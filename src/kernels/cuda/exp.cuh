// exp, sigmoid and sums in float32 by the very operations of kernels/cpu/exp.h and cpu/lanes.h, so
// that routing and sampling see the same bits on both devices.
#pragma once

#include <cstdint>

#include "kernels/cuda/device.cuh"

namespace braid::kernels::cuda {

// e^x within 1.5 units in the last place; 0 below −104, infinity above 88.73, NaN for NaN.
__device__ inline float exp(float x) {
  constexpr float kRound = 12582912.0f;
  constexpr float kLog2E = 1.44269504f;
  constexpr float kLn2High = 0.693145752f;
  constexpr float kLn2Low = 1.42860677e-6f;
  x = x < -105.0f ? -105.0f : x;
  x = x > 89.0f ? 89.0f : x;
  const float shifted = __fmaf_rn(x, kLog2E, kRound);
  const float n = __fsub_rn(shifted, kRound);
  float r = __fmaf_rn(n, -kLn2High, x);
  r = __fmaf_rn(n, -kLn2Low, r);
  float p = 1.0f / 5040.0f;
  p = __fmaf_rn(p, r, 1.0f / 720.0f);
  p = __fmaf_rn(p, r, 1.0f / 120.0f);
  p = __fmaf_rn(p, r, 1.0f / 24.0f);
  p = __fmaf_rn(p, r, 1.0f / 6.0f);
  p = __fmaf_rn(p, r, 0.5f);
  p = __fmaf_rn(p, r, 1.0f);
  p = __fmaf_rn(p, r, 1.0f);
  const uint32_t exponent = __float_as_uint(shifted) - __float_as_uint(kRound);
  const uint32_t half = static_cast<uint32_t>(static_cast<int32_t>(exponent) >> 1);
  const float scale1 = __uint_as_float((half + 127u) << 23);
  const float scale2 = __uint_as_float((exponent - half + 127u) << 23);
  return __fmul_rn(__fmul_rn(p, scale1), scale2);
}

__device__ inline float sigmoid(float x) { return __fdiv_rn(1.0f, __fadd_rn(1.0f, exp(-x))); }

// Σ term(i) for i < count in the order of cpu::sum_terms(): lane i % 8 adds term i, then the eight
// lanes are added. Called by a whole warp, with the same result in all lanes; term(i) is evaluated
// by all lanes, also for i ≥ count where `count` is no multiple of 8. kAtOnce: how many terms a
// lane asks for before it adds them.
template <int kAtOnce = 1, typename Term>
__device__ inline float sum_terms(int count, Term term) {
  const int lane = static_cast<int>(threadIdx.x) % 8;
  float sum = 0;
#pragma unroll kAtOnce
  for (int i = lane; i - lane < count; i += 8) {
    const float value = term(i);
    if (i < count) sum = __fadd_rn(sum, value);
  }
  sum = __fadd_rn(sum, __shfl_xor_sync(kAllLanes, sum, 4));
  sum = __fadd_rn(sum, __shfl_xor_sync(kAllLanes, sum, 2));
  return __fadd_rn(sum, __shfl_xor_sync(kAllLanes, sum, 1));
}

}  // namespace braid::kernels::cuda

// The arithmetic of RMSNorm, for the kernels that have it inside.
#pragma once

#include "kernels/cuda/device.cuh"

namespace braid::kernels::cuda {

// sum + Σ x² over a pack.
template <typename T>
__device__ inline float add_squares(float sum, const Pack<T>& pack) {
#pragma unroll
  for (int i = 0; i < kPack; ++i) {
    const float value = widen(pack.values[i]);
    sum = __fmaf_rn(value, value, sum);
  }
  return sum;
}

// What elements are multiplied by, from the sum of their squares.
__device__ inline float norm_scale(float squares, int count, float eps) {
  return __fdiv_rn(1.0f, __fsqrt_rn(squares / static_cast<float>(count) + eps));
}

template <typename T>
__device__ inline Pack<T> scale_pack(const Pack<T>& x, const Pack<T>& weights, float scale) {
  Pack<T> y;
#pragma unroll
  for (int i = 0; i < kPack; ++i) {
    y.values[i] = narrow<T>(widen(weights.values[i]) * (widen(x.values[i]) * scale));
  }
  return y;
}

}  // namespace braid::kernels::cuda

// Elements in float32 and in storage, and SiLU, for the GEMMs' epilogues.
#pragma once

#include <cuda_bf16.h>

namespace braid::kernels::cuda {

__device__ inline float to_f32(float value) { return value; }
__device__ inline float to_f32(__nv_bfloat16 value) { return __bfloat162float(value); }

template <typename T>
__device__ T from_f32(float value);
template <>
__device__ inline float from_f32<float>(float value) {
  return value;
}
template <>
__device__ inline __nv_bfloat16 from_f32<__nv_bfloat16>(float value) {
  return __float2bfloat16_rn(value);
}

// Two neighbours in one access; `to` is aligned to both.
__device__ inline void store_pair(float* to, float a, float b) {
  *reinterpret_cast<float2*>(to) = make_float2(a, b);
}
__device__ inline void store_pair(__nv_bfloat16* to, float a, float b) {
  *reinterpret_cast<__nv_bfloat162*>(to) = __floats2bfloat162_rn(a, b);
}

// x · sigmoid(x). Where e^−x overflows, the quotient is 0, as it should.
__device__ inline float silu(float x) { return __fdividef(x, 1.0f + __expf(-x)); }

}  // namespace braid::kernels::cuda

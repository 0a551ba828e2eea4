// The arithmetic of rotary embedding, for the kernels that have it inside.
#pragma once

#include "kernels/cuda/device.cuh"

namespace braid::kernels::cuda {

// The pair (a, b) turned by the angle.
template <typename T>
__device__ inline void turn(T& a, T& b, float cosine, float sine) {
  const float from_a = widen(a);
  const float from_b = widen(b);
  a = narrow<T>(__fsub_rn(__fmul_rn(from_a, cosine), __fmul_rn(from_b, sine)));
  b = narrow<T>(__fadd_rn(__fmul_rn(from_b, cosine), __fmul_rn(from_a, sine)));
}

}  // namespace braid::kernels::cuda

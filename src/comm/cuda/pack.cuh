// 16 bytes of numbers, as kernels load, add and store them.
#pragma once

#include <cuda_bf16.h>

namespace braid::comm {

// 16 bytes of either format, as floats.
template <typename T>
struct Pack;

template <>
struct Pack<float> {
  static constexpr int kElements = 4;
  __device__ static void add(const uint4& bits, float* sum) {
    const auto* values = reinterpret_cast<const float*>(&bits);
    for (int i = 0; i < kElements; ++i) sum[i] += values[i];
  }
  __device__ static uint4 round(const float* sum) { return *reinterpret_cast<const uint4*>(sum); }
  __device__ static uint4 add_two(uint4 a, const uint4& b) {
    auto* x = reinterpret_cast<float*>(&a);
    const auto* y = reinterpret_cast<const float*>(&b);
    for (int i = 0; i < kElements; ++i) x[i] += y[i];
    return a;
  }
};

template <>
struct Pack<__nv_bfloat16> {
  static constexpr int kElements = 8;
  __device__ static void add(const uint4& bits, float* sum) {
    const auto* values = reinterpret_cast<const __nv_bfloat16*>(&bits);
    for (int i = 0; i < kElements; ++i) sum[i] += __bfloat162float(values[i]);
  }
  __device__ static uint4 round(const float* sum) {
    uint4 bits;
    auto* values = reinterpret_cast<__nv_bfloat162*>(&bits);
    for (int i = 0; i < kElements / 2; ++i) {
      values[i] = __floats2bfloat162_rn(sum[2 * i], sum[2 * i + 1]);
    }
    return bits;
  }
  __device__ static uint4 add_two(uint4 a, const uint4& b) {
    auto* x = reinterpret_cast<__nv_bfloat162*>(&a);
    const auto* y = reinterpret_cast<const __nv_bfloat162*>(&b);
    for (int i = 0; i < kElements / 2; ++i) {
      const float2 p = __bfloat1622float2(x[i]);
      const float2 q = __bfloat1622float2(y[i]);
      x[i] = __floats2bfloat162_rn(p.x + q.x, p.y + q.y);
    }
    return a;
  }
};

}  // namespace braid::comm

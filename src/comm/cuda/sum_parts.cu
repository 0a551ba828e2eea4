#include <cuda_bf16.h>

#include <algorithm>

#include "comm/cuda/sum_parts.h"

namespace braid::comm {
namespace {

constexpr int kThreads = 512;

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
    auto* values = reinterpret_cast<__nv_bfloat16*>(&bits);
    for (int i = 0; i < kElements; ++i) values[i] = __float2bfloat16_rn(sum[i]);
    return bits;
  }
};

constexpr int kUnrolled = 4;  // packs of a thread in flight

template <typename T>
__global__ void __launch_bounds__(kThreads) sum_kernel(Parts parts, uint4* out, int64_t packs) {
  const int64_t stride = int64_t{gridDim.x} * kThreads;
  const int64_t first = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  for (int64_t base = first; base < packs; base += kUnrolled * stride) {
    alignas(16) float sums[kUnrolled][Pack<T>::kElements] = {};
    for (int part = 0; part < parts.count; ++part) {
      const auto* from = static_cast<const uint4*>(parts.data[part]);
      uint4 bits[kUnrolled];
#pragma unroll
      for (int i = 0; i < kUnrolled; ++i) {
        if (base + i * stride < packs) bits[i] = from[base + i * stride];
      }
#pragma unroll
      for (int i = 0; i < kUnrolled; ++i) {
        if (base + i * stride < packs) Pack<T>::add(bits[i], sums[i]);
      }
    }
#pragma unroll
    for (int i = 0; i < kUnrolled; ++i) {
      if (base + i * stride < packs) out[base + i * stride] = Pack<T>::round(sums[i]);
    }
  }
}

}  // namespace

void sum_parts(const Parts& parts, void* out, int64_t elements, PartFormat format, int blocks,
               cudaStream_t stream) {
  const bool wide = format == PartFormat::f32;
  const int64_t packs = elements / (wide ? Pack<float>::kElements : Pack<__nv_bfloat16>::kElements);
  if (packs == 0) return;
  const auto needed =
      static_cast<int>(std::min<int64_t>((packs + kThreads - 1) / kThreads, blocks));
  if (wide) {
    sum_kernel<float><<<needed, kThreads, 0, stream>>>(parts, static_cast<uint4*>(out), packs);
  } else {
    sum_kernel<__nv_bfloat16>
        <<<needed, kThreads, 0, stream>>>(parts, static_cast<uint4*>(out), packs);
  }
}

}  // namespace braid::comm

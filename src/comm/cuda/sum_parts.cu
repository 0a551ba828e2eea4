#include <algorithm>

#include "comm/cuda/pack.cuh"
#include "comm/cuda/sum_parts.h"

namespace braid::comm {
namespace {

constexpr int kThreads = 32;
constexpr int kRegisters = 32;  // what a GEMM's 384 threads of 168 leave of an SM's
constexpr int kBlocks = 1024;   // wanted: many more than can run at once
constexpr int kMostTurns = 16;  // of a block, each a pack a thread

// A block's packs are neighbours: turns · kThreads of them.
template <typename T>
__global__ void __maxnreg__(kRegisters)
    sum_kernel(Parts parts, uint4* out, int64_t packs, int turns) {
  const int64_t first = int64_t{blockIdx.x} * turns * kThreads + threadIdx.x;
  for (int turn = 0; turn < turns; ++turn) {
    const int64_t i = first + turn * kThreads;
    if (i >= packs) return;
    alignas(16) float sum[Pack<T>::kElements] = {};
    for (int part = 0; part < parts.count; ++part) {
      Pack<T>::add(static_cast<const uint4*>(parts.data[part])[i], sum);
    }
    out[i] = Pack<T>::round(sum);
  }
}

// The same of two parts, with two packs of each on their way.
template <typename T>
__global__ void __maxnreg__(kRegisters)
    sum_two_kernel(const uint4* a, const uint4* b, uint4* out, int64_t packs, int turns) {
  const int64_t first = int64_t{blockIdx.x} * turns * kThreads;
  const int count = static_cast<int>(min(int64_t{turns} * kThreads, packs - first));
  a += first;
  b += first;
  out += first;
  int i = static_cast<int>(threadIdx.x);
  for (; i + kThreads < count; i += 2 * kThreads) {
    const uint4 a0 = __ldcs(a + i), a1 = __ldcs(a + i + kThreads);
    const uint4 b0 = __ldcs(b + i), b1 = __ldcs(b + i + kThreads);
    out[i] = Pack<T>::add_two(a0, b0);
    out[i + kThreads] = Pack<T>::add_two(a1, b1);
  }
  if (i < count) out[i] = Pack<T>::add_two(a[i], b[i]);
}

template <typename T>
void launch(const Parts& parts, uint4* out, int64_t elements, cudaStream_t stream) {
  const int64_t packs = elements / Pack<T>::kElements;
  if (packs == 0) return;
  const auto turns =
      static_cast<int>(std::clamp<int64_t>(packs / (kThreads * kBlocks), 1, kMostTurns));
  const auto blocks = static_cast<unsigned>((packs + kThreads * turns - 1) / (kThreads * turns));
  if (parts.count == 2) {
    sum_two_kernel<T><<<blocks, kThreads, 0, stream>>>(static_cast<const uint4*>(parts.data[0]),
                                                       static_cast<const uint4*>(parts.data[1]),
                                                       out, packs, turns);
  } else {
    sum_kernel<T><<<blocks, kThreads, 0, stream>>>(parts, out, packs, turns);
  }
}

}  // namespace

void sum_parts(const Parts& parts, void* out, int64_t elements, PartFormat format,
               cudaStream_t stream) {
  auto* to = static_cast<uint4*>(out);
  if (format == PartFormat::f32) {
    launch<float>(parts, to, elements, stream);
  } else {
    launch<__nv_bfloat16>(parts, to, elements, stream);
  }
}

}  // namespace braid::comm

#include <algorithm>

#include "kernels/cuda/device.cuh"
#include "kernels/fill/cuda/fill.h"

namespace braid::kernels::cuda {
namespace {

constexpr int kThreads = 256;

// The 16 bits each of numbers first … first + kPack − 1, the lowest first.
struct PackBits {
  uint64_t words[2];

  __device__ PackBits(uint64_t key, uint64_t first) {
    const uint64_t low = hash_of_numbers(key, first);
    const uint64_t high = hash_of_numbers(key, first + 4);
    const auto skipped = static_cast<unsigned>(first % 4) * 16;
    words[0] = low;
    words[1] = high;
    if (skipped == 0) return;
    words[0] = low >> skipped | high << (64 - skipped);
    words[1] = high >> skipped | hash_of_numbers(key, first + 8) << (64 - skipped);
  }
  __device__ uint32_t operator[](int i) const {
    return static_cast<uint32_t>(words[i / 4] >> (16 * (i % 4))) & 0xffffu;
  }
};
static_assert(kPack == 2 * kNumbersOfHash);

// A thread makes one pack of a row: blockDim.x packs of blockDim.y rows a block.
template <bool kPacked, typename T>
__global__ void __launch_bounds__(kThreads)
    uniform(UniformDesc desc, int64_t rows, int64_t cols, Matrix<T> out) {
  const int64_t row = int64_t{blockIdx.x} * blockDim.y + threadIdx.y;
  const int64_t col = (int64_t{blockIdx.y} * blockDim.x + threadIdx.x) * kPack;
  if (row >= rows || col >= cols) return;
  Pack<T> pack{};
  if (col < desc.columns) {
    const PackBits bits(desc.key, desc.first + static_cast<uint64_t>(row) * desc.stride +
                                      static_cast<uint64_t>(col));
#pragma unroll
    for (int i = 0; i < kPack; ++i) {
      float value = col + i < desc.columns ? uniform_number(bits[i], desc.bound) : 0.0f;
      if (desc.to_bf16) value = widen(narrow<bf16>(value));
      pack.values[i] = narrow<T>(value);
    }
  }
  store_pack<kPacked>(out.row(row) + col, cols - col, pack);
}

}  // namespace

template <typename T>
void fill_uniform(const UniformDesc& desc, int64_t rows, int64_t cols, Matrix<T> out,
                  cudaStream_t stream) {
  if (rows == 0 || cols == 0) return;
  const int64_t packs = ceil_div(cols, kPack);
  unsigned across = 1;
  while (across < packs && across < kThreads) across *= 2;
  const unsigned down = kThreads / across;
  const dim3 blocks(static_cast<unsigned>(ceil_div(rows, down)),
                    static_cast<unsigned>(ceil_div(packs, across)));
  const auto kernel = is_packed(cols, out) ? uniform<true, T> : uniform<false, T>;
  kernel<<<blocks, dim3(across, down), 0, stream>>>(desc, rows, cols, out);
}

template void fill_uniform(const UniformDesc&, int64_t, int64_t, Matrix<float>, cudaStream_t);
template void fill_uniform(const UniformDesc&, int64_t, int64_t, Matrix<bf16>, cudaStream_t);

}  // namespace braid::kernels::cuda

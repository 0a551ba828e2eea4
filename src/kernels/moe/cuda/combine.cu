#include <algorithm>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/moe/cuda/moe.h"

namespace braid::kernels::cuda {
namespace {

template <typename T>
struct Sum {
  int64_t cols;
  int top_k;
  int all;  // places of a row: those behind top_k have the weight 1
  Matrix<const T> grouped;
  Matrix<const int32_t> places;
  Matrix<const float> weights;
  Matrix<T> out;
};

constexpr int kBatch = 4;  // rows that a thread loads at once

// One block a row.
template <bool kPacked, typename T>
__global__ void __launch_bounds__(1024) combine_rows(Sum<T> s) {
  start_in_turn();
  const int64_t row = blockIdx.x;
  const int32_t* places = s.places.row(row);
  const float* weights = s.weights.row(row);
  for (int64_t i = threadIdx.x * kPack; i < s.cols; i += blockDim.x * kPack) {
    float sums[kPack] = {};
    for (int first = 0; first < s.all; first += kBatch) {
      Pack<T> packs[kBatch];
      bool present[kBatch];
#pragma unroll
      for (int b = 0; b < kBatch; ++b) {
        const int32_t place = first + b < s.all ? places[first + b] : -1;
        present[b] = place >= 0;
        if (present[b]) packs[b] = load_pack<kPacked>(s.grouped.row(place) + i, s.cols - i);
      }
#pragma unroll
      for (int b = 0; b < kBatch; ++b) {
        if (!present[b]) continue;
        const float weight = first + b < s.top_k ? weights[first + b] : 1.0f;
#pragma unroll
        for (int j = 0; j < kPack; ++j) {
          sums[j] = __fmaf_rn(weight, widen(packs[b].values[j]), sums[j]);
        }
      }
    }
    Pack<T> total;
#pragma unroll
    for (int j = 0; j < kPack; ++j) total.values[j] = narrow<T>(sums[j]);
    store_pack<kPacked>(s.out.row(row) + i, s.cols - i, total);
  }
}

}  // namespace

template <typename T>
void combine(const CombineDesc& desc, int64_t rows, int64_t cols, int64_t top_k,
             Matrix<const T> grouped, Matrix<const int32_t> places, Matrix<const float> weights,
             Matrix<T> out, const KernelStream& on) {
  const Sum<T> sum{cols,
                   static_cast<int>(top_k),
                   static_cast<int>(top_k) + desc.num_shared,
                   grouped,
                   places,
                   weights,
                   out};
  const auto blocks = static_cast<unsigned>(rows);
  if (blocks == 0 || cols == 0) return;
  const int64_t packs = ceil_div(cols, kPack * kWarp) * kWarp;
  const auto threads = static_cast<unsigned>(std::min<int64_t>(packs, 1024));
  if (is_packed(cols, grouped) && is_packed(cols, out)) {
    launch_kernel(on, {blocks, threads}, combine_rows<true, T>, sum);
  } else {
    launch_kernel(on, {blocks, threads}, combine_rows<false, T>, sum);
  }
}

template void combine(const CombineDesc&, int64_t, int64_t, int64_t, Matrix<const float>,
                      Matrix<const int32_t>, Matrix<const float>, Matrix<float>,
                      const KernelStream&);
template void combine(const CombineDesc&, int64_t, int64_t, int64_t, Matrix<const bf16>,
                      Matrix<const int32_t>, Matrix<const float>, Matrix<bf16>,
                      const KernelStream&);

}  // namespace braid::kernels::cuda

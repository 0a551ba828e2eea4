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
  Addends<T> addends;
  Matrix<T> out;
};

constexpr int kBatch = 8;      // rows that a thread loads at once
constexpr int kThreads = 128;  // a pack of columns each

// sums += the pack at column i of the row, each rounded.
template <bool kPacked, typename T>
__device__ void add_rounded(Pack<T>& sums, Matrix<const T> addend, int64_t row, int64_t i,
                            int64_t cols) {
  if (addend.data == nullptr) return;
  const Pack<T> pack = load_pack<kPacked>(addend.row(row) + i, cols - i);
#pragma unroll
  for (int j = 0; j < kPack; ++j) {
    sums.values[j] = narrow<T>(widen(sums.values[j]) + widen(pack.values[j]));
  }
}

// A block has some columns of one row.
template <bool kPacked, typename T>
__global__ void __launch_bounds__(kThreads) combine_rows(Sum<T> s) {
  start_in_turn();
  const int64_t row = blockIdx.x;
  const int64_t i = (static_cast<int64_t>(blockIdx.y) * kThreads + threadIdx.x) * kPack;
  if (i >= s.cols) return;
  const int32_t* places = s.places.row(row);
  const float* weights = s.weights.row(row);
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
  add_rounded<kPacked>(total, s.addends.shared, row, i, s.cols);
  add_rounded<kPacked>(total, s.addends.residual, row, i, s.cols);
  store_pack<kPacked>(s.out.row(row) + i, s.cols - i, total);
}

// Absent addends are in nobody's way.
template <typename T>
bool is_packed_or_absent(int64_t cols, Matrix<const T> addend) {
  return addend.data == nullptr || is_packed(cols, addend);
}

}  // namespace

template <typename T>
void combine(const CombineDesc& desc, int64_t rows, int64_t cols, int64_t top_k,
             Matrix<const T> grouped, Matrix<const int32_t> places, Matrix<const float> weights,
             Matrix<T> out, const KernelStream& on, const Addends<T>& addends) {
  if (rows == 0 || cols == 0) return;
  const Sum<T> sum{cols,
                   static_cast<int>(top_k),
                   static_cast<int>(top_k) + desc.num_shared,
                   grouped,
                   places,
                   weights,
                   addends,
                   out};
  const int64_t parts = ceil_div(cols, int64_t{kPack} * kThreads);
  const bool packed = is_packed(cols, grouped) && is_packed(cols, out) &&
                      is_packed_or_absent(cols, addends.shared) &&
                      is_packed_or_absent(cols, addends.residual);
  launch_kernel(on,
                {.grid = dim3(static_cast<unsigned>(rows), static_cast<unsigned>(parts)),
                 .block = dim3(kThreads)},
                packed ? combine_rows<true, T> : combine_rows<false, T>, sum);
}

template void combine(const CombineDesc&, int64_t, int64_t, int64_t, Matrix<const float>,
                      Matrix<const int32_t>, Matrix<const float>, Matrix<float>,
                      const KernelStream&, const Addends<float>&);
template void combine(const CombineDesc&, int64_t, int64_t, int64_t, Matrix<const bf16>,
                      Matrix<const int32_t>, Matrix<const float>, Matrix<bf16>, const KernelStream&,
                      const Addends<bf16>&);

}  // namespace braid::kernels::cuda

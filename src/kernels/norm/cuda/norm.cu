#include <algorithm>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/norm/cuda/norm.h"

namespace braid::kernels::cuda {
namespace {

constexpr int kGroupThreads = 256;  // one warp a group
constexpr int64_t kMaxWarpGroup = 1024;

template <typename T>
struct Norm {
  float eps;
  Rows rows;
  int group;   // columns that are normalised together
  int groups;  // of a row
  Matrix<const T> x;
  const T* w;
  Matrix<T> y;
};

// Σ x² over the packs that thread `thread` of `threads` takes.
template <bool kPacked, typename T>
__device__ float sum_squares(const T* x, int count, int thread, int threads) {
  float sum = 0;
  for (int i = thread * kPack; i < count; i += threads * kPack) {
    const Pack<T> pack = load_pack<kPacked>(x + i, count - i);
#pragma unroll
    for (int j = 0; j < kPack; ++j) {
      const float value = widen(pack.values[j]);
      sum = __fmaf_rn(value, value, sum);
    }
  }
  return sum;
}

// y = w · (x · scale) for the same packs. Nothing else reads them, so y may be x.
template <bool kPacked, typename T>
__device__ void scale_packs(const T* x, const T* w, T* y, int count, float squares, float eps,
                            int thread, int threads) {
  const float scale = __fdiv_rn(1.0f, __fsqrt_rn(squares / static_cast<float>(count) + eps));
  for (int i = thread * kPack; i < count; i += threads * kPack) {
    const Pack<T> from = load_pack<kPacked>(x + i, count - i);
    const Pack<T> weights = load_pack<kPacked>(w + i, count - i);
    Pack<T> to;
#pragma unroll
    for (int j = 0; j < kPack; ++j) {
      to.values[j] = narrow<T>(widen(weights.values[j]) * (widen(from.values[j]) * scale));
    }
    store_pack<kPacked>(y + i, count - i, to);
  }
}

template <bool kPacked, typename T>
__global__ void __launch_bounds__(kGroupThreads) norm_groups(Norm<T> n) {
  start_in_turn();
  const int64_t index = (int64_t{blockIdx.x} * kGroupThreads + threadIdx.x) / kWarp;
  const int64_t row = index / n.groups;
  if (row >= n.rows.live()) return;
  const int64_t first = index % n.groups * n.group;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const T* x = n.x.row(row) + first;
  const float squares = warp_sum(sum_squares<kPacked>(x, n.group, lane, kWarp));
  scale_packs<kPacked>(x, n.w, n.y.row(row) + first, n.group, squares, n.eps, lane, kWarp);
}

// The sum over the threads of a block, the same bits in all of them: over neighbouring lanes first,
// then over all of a warp's in a tree, then over the warps in order. The few-row GEMM normalises x
// itself (kernels/gemm/cuda/sm90_stream_gemm.cuh) and adds in this order, too.
__device__ float row_sum(float value, float* shared) {
#pragma unroll
  for (int step = 1; step < kWarp; step *= 2) value += __shfl_xor_sync(kAllLanes, value, step);
  if (threadIdx.x % kWarp == 0) shared[threadIdx.x / kWarp] = value;
  __syncthreads();
  float sum = 0;
  for (unsigned i = 0; i < blockDim.x / kWarp; ++i) sum += shared[i];
  return sum;
}

template <bool kPacked, typename T>
__global__ void __launch_bounds__(1024) norm_rows(Norm<T> n) {
  start_in_turn();
  __shared__ float shared[kWarp];
  const int64_t row = blockIdx.x;
  if (row >= n.rows.live()) return;
  const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  const T* x = n.x.row(row);
  const float squares = row_sum(sum_squares<kPacked>(x, n.group, thread, threads), shared);
  scale_packs<kPacked>(x, n.w, n.y.row(row), n.group, squares, n.eps, thread, threads);
}

template <bool kPacked, typename T>
void launch(const Norm<T>& norm, const KernelStream& on) {
  if (norm.groups == 1 && norm.group > kMaxWarpGroup) {
    const auto packs = static_cast<unsigned>(ceil_div(norm.group, kPack * kWarp)) * kWarp;
    const auto blocks = static_cast<unsigned>(norm.rows.capacity);
    launch_kernel(on, {blocks, std::min(packs, 1024u)}, norm_rows<kPacked, T>, norm);
  } else {
    const int64_t warps = norm.rows.capacity * norm.groups;
    const auto blocks = static_cast<unsigned>(ceil_div(warps * kWarp, kGroupThreads));
    launch_kernel(on, {blocks, kGroupThreads}, norm_groups<kPacked, T>, norm);
  }
}

}  // namespace

template <typename T>
void rms_norm(const RmsNormDesc& desc, const Rows& rows, int64_t cols, Matrix<const T> x,
              const T* w, Matrix<T> y, const KernelStream& on) {
  if (rows.capacity == 0 || cols == 0) return;
  const int64_t group = desc.group == 0 ? cols : desc.group;
  const Norm<T> norm{desc.eps, rows, static_cast<int>(group), static_cast<int>(cols / group), x,
                     w,        y};
  if (is_packed(group, x) && is_packed(group, y) && is_packed(group, w, 0)) {
    launch<true>(norm, on);
  } else {
    launch<false>(norm, on);
  }
}

template void rms_norm(const RmsNormDesc&, const Rows&, int64_t, Matrix<const float>, const float*,
                       Matrix<float>, const KernelStream&);
template void rms_norm(const RmsNormDesc&, const Rows&, int64_t, Matrix<const bf16>, const bf16*,
                       Matrix<bf16>, const KernelStream&);

}  // namespace braid::kernels::cuda

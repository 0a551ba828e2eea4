#include "kernels/cuda/launch.cuh"
#include "kernels/norm/cuda/norm.h"
#include "kernels/norm/cuda/norm_row.cuh"

namespace braid::kernels::cuda {
namespace {

constexpr int kGroupThreads = 256;  // one warp a group

template <typename T>
struct Norm {
  float eps;
  Rows rows;
  int group;   // columns that are normalised together
  int groups;  // of a row
  Matrix<const T> x;
  const T* w;
  Matrix<T> y;
  // Where kAdds: x + addend is written to `sum`, and normalised.
  Matrix<const T> addend;
  Matrix<T> sum;
};

// The threads that share `count` columns, each with its own packs of them. Nothing else reads or
// writes these packs, so that results may overwrite operands.
template <bool kPacked, bool kAdds, typename T>
struct Share {
  const T* x;
  const T* addend;
  T* sum;
  const T* w;
  T* y;
  int count;
  int thread;
  int threads;

  __device__ bool is_one_pack() const { return count <= threads * kPack; }

  // What is normalised.
  __device__ Pack<T> load(int i) const {
    const Pack<T> pack = load_pack<kPacked>(x + i, count - i);
    if constexpr (!kAdds) {
      return pack;
    } else {
      const Pack<T> both = add_packs(pack, load_pack<kPacked>(addend + i, count - i));
      store_pack<kPacked>(sum + i, count - i, both);
      return both;
    }
  }
  __device__ Pack<T> load_again(int i) const {
    return load_pack<kPacked>((kAdds ? sum : x) + i, count - i);
  }
  __device__ void store(int i, const Pack<T>& from, float scale) const {
    const Pack<T> weights = load_pack<kPacked>(w + i, count - i);
    store_pack<kPacked>(y + i, count - i, scale_pack(from, weights, scale));
  }

  // `add_up` adds the threads' squares.
  template <typename AddUp>
  __device__ void normalize(float eps, AddUp add_up) const {
    const int first = thread * kPack;
    if (is_one_pack()) {  // which stays in registers
      Pack<T> pack{};
      if (first < count) pack = load(first);
      const float scale = norm_scale(add_up(add_squares(0.0f, pack)), count, eps);
      if (first < count) store(first, pack, scale);
      return;
    }
    float squares = 0;
    for (int i = first; i < count; i += threads * kPack) squares = add_squares(squares, load(i));
    const float scale = norm_scale(add_up(squares), count, eps);
    for (int i = first; i < count; i += threads * kPack) store(i, load_again(i), scale);
  }
};

template <bool kPacked, bool kAdds, typename T>
__device__ Share<kPacked, kAdds, T> share_of(const Norm<T>& n, int64_t row, int64_t first,
                                             int thread, int threads) {
  Share<kPacked, kAdds, T> share{};
  share.x = n.x.row(row) + first;
  share.w = n.w;
  share.y = n.y.row(row) + first;
  if constexpr (kAdds) {
    share.addend = n.addend.row(row) + first;
    share.sum = n.sum.row(row) + first;
  }
  share.count = n.group;
  share.thread = thread;
  share.threads = threads;
  return share;
}

template <bool kPacked, bool kAdds, typename T>
__global__ void __launch_bounds__(kGroupThreads) norm_groups(Norm<T> n) {
  start_in_turn();
  const int64_t index = (int64_t{blockIdx.x} * kGroupThreads + threadIdx.x) / kWarp;
  const int64_t row = index / n.groups;
  if (row >= n.rows.live()) return;
  const int64_t first = index % n.groups * n.group;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  share_of<kPacked, kAdds>(n, row, first, lane, kWarp).normalize(n.eps, [](float squares) {
    return warp_sum(squares);
  });
}

template <bool kPacked, bool kAdds, typename T>
__global__ void __launch_bounds__(1024) norm_rows(Norm<T> n) {
  __shared__ float shared[kWarp];
  start_in_turn();
  const int64_t row = blockIdx.x;
  if (row >= n.rows.live()) return;
  const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  share_of<kPacked, kAdds>(n, row, 0, thread, threads).normalize(n.eps, [](float squares) {
    return block_squares(squares, shared);
  });
}

template <bool kPacked, bool kAdds, typename T>
void launch(const Norm<T>& norm, const KernelStream& on) {
  if (norm.groups == 1 && norm.group > kMaxWarpColumns) {
    const dim3 blocks(static_cast<unsigned>(norm.rows.capacity));
    const dim3 threads(static_cast<unsigned>(norm_threads(norm.group)));
    launch_kernel(on, {.grid = blocks, .block = threads}, norm_rows<kPacked, kAdds, T>, norm);
  } else {
    const int64_t warps = norm.rows.capacity * norm.groups;
    const dim3 blocks(static_cast<unsigned>(ceil_div(warps * kWarp, kGroupThreads)));
    launch_kernel(on, {.grid = blocks, .block = dim3(kGroupThreads)},
                  norm_groups<kPacked, kAdds, T>, norm);
  }
}

}  // namespace

template <typename T>
void rms_norm(const RmsNormDesc& desc, const Rows& rows, int64_t cols, Matrix<const T> x,
              const T* w, Matrix<T> y, const KernelStream& on) {
  if (rows.capacity == 0 || cols == 0) return;
  const int64_t group = desc.group == 0 ? cols : desc.group;
  const Norm<T> norm{.eps = desc.eps,
                     .rows = rows,
                     .group = static_cast<int>(group),
                     .groups = static_cast<int>(cols / group),
                     .x = x,
                     .w = w,
                     .y = y};
  if (is_packed(group, x) && is_packed(group, y) && is_packed(group, w, 0)) {
    launch<true, false>(norm, on);
  } else {
    launch<false, false>(norm, on);
  }
}

template <typename T>
void add_rms_norm(const AddRmsNormDesc& desc, const Rows& rows, int64_t cols, Matrix<const T> a,
                  Matrix<const T> b, const T* w, Matrix<T> sum, Matrix<T> y,
                  const KernelStream& on) {
  if (rows.capacity == 0 || cols == 0) return;
  const Norm<T> norm{.eps = desc.eps,
                     .rows = rows,
                     .group = static_cast<int>(cols),
                     .groups = 1,
                     .x = a,
                     .w = w,
                     .y = y,
                     .addend = b,
                     .sum = sum};
  if (is_packed(cols, a) && is_packed(cols, b) && is_packed(cols, sum) && is_packed(cols, y) &&
      is_packed(cols, w, 0)) {
    launch<true, true>(norm, on);
  } else {
    launch<false, true>(norm, on);
  }
}

template void rms_norm(const RmsNormDesc&, const Rows&, int64_t, Matrix<const float>, const float*,
                       Matrix<float>, const KernelStream&);
template void rms_norm(const RmsNormDesc&, const Rows&, int64_t, Matrix<const bf16>, const bf16*,
                       Matrix<bf16>, const KernelStream&);
template void add_rms_norm(const AddRmsNormDesc&, const Rows&, int64_t, Matrix<const float>,
                           Matrix<const float>, const float*, Matrix<float>, Matrix<float>,
                           const KernelStream&);
template void add_rms_norm(const AddRmsNormDesc&, const Rows&, int64_t, Matrix<const bf16>,
                           Matrix<const bf16>, const bf16*, Matrix<bf16>, Matrix<bf16>,
                           const KernelStream&);

}  // namespace braid::kernels::cuda

#include <algorithm>

#include "kernels/attention/cuda/attention.h"
#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"

namespace braid::kernels::cuda {
namespace {

// One block a row.
template <bool kPacked, typename T>
__global__ void __launch_bounds__(1024)
    write_rows(int64_t cols, Matrix<const T> source, const int32_t* slots, Matrix<T> cache) {
  start_in_turn();
  const int64_t row = blockIdx.x;
  const int32_t slot = slots[row];
  if (slot < 0) return;
  for (int64_t i = threadIdx.x * kPack; i < cols; i += blockDim.x * kPack) {
    store_pack<kPacked>(cache.row(slot) + i, cols - i,
                        load_pack<kPacked>(source.row(row) + i, cols - i));
  }
}

}  // namespace

template <typename T>
void kv_write(int64_t rows, int64_t cols, Matrix<const T> source, const int32_t* slots,
              Matrix<T> cache, const KernelStream& on) {
  const auto blocks = static_cast<unsigned>(rows);
  if (blocks == 0 || cols == 0) return;
  const int64_t packs = ceil_div(cols, kPack * kWarp) * kWarp;
  const auto threads = static_cast<unsigned>(std::min<int64_t>(packs, 1024));
  if (is_packed(cols, source) && is_packed(cols, cache)) {
    launch_kernel(on, {blocks, threads}, write_rows<true, T>, cols, source, slots, cache);
  } else {
    launch_kernel(on, {blocks, threads}, write_rows<false, T>, cols, source, slots, cache);
  }
}

template void kv_write(int64_t, int64_t, Matrix<const float>, const int32_t*, Matrix<float>,
                       const KernelStream&);
template void kv_write(int64_t, int64_t, Matrix<const bf16>, const int32_t*, Matrix<bf16>,
                       const KernelStream&);

}  // namespace braid::kernels::cuda

#include <algorithm>

#include "kernels/cuda/device.cuh"
#include "kernels/rows/cuda/rows.h"

namespace braid::kernels::cuda {
namespace {

// One block a row.
template <bool kPacked, typename T>
__global__ void __launch_bounds__(1024)
    gather(Rows rows, int64_t cols, Matrix<const T> table, const int32_t* index, Matrix<T> out) {
  const int64_t row = blockIdx.x;
  if (row >= rows.live()) return;
  const int32_t from = index[row];
  for (int64_t i = threadIdx.x * kPack; i < cols; i += blockDim.x * kPack) {
    Pack<T> pack{};
    if (from >= 0) pack = load_pack<kPacked>(table.row(from) + i, cols - i);
    store_pack<kPacked>(out.row(row) + i, cols - i, pack);
  }
}

template <bool kPacked, typename T>
__global__ void __launch_bounds__(1024)
    sum(Rows rows, int64_t cols, Matrix<const T> a, Matrix<const T> b, Matrix<T> out) {
  const int64_t row = blockIdx.x;
  if (row >= rows.live()) return;
  for (int64_t i = threadIdx.x * kPack; i < cols; i += blockDim.x * kPack) {
    const Pack<T> left = load_pack<kPacked>(a.row(row) + i, cols - i);
    const Pack<T> right = load_pack<kPacked>(b.row(row) + i, cols - i);
    Pack<T> total;
#pragma unroll
    for (int j = 0; j < kPack; ++j) {
      total.values[j] = narrow<T>(__fadd_rn(widen(left.values[j]), widen(right.values[j])));
    }
    store_pack<kPacked>(out.row(row) + i, cols - i, total);
  }
}

unsigned threads_of(int64_t cols) {
  return static_cast<unsigned>(std::min<int64_t>(ceil_div(cols, kPack * kWarp) * kWarp, 1024));
}

}  // namespace

template <typename T>
void gather_rows(const Rows& rows, int64_t cols, Matrix<const T> table, const int32_t* index,
                 Matrix<T> out, cudaStream_t stream) {
  const auto blocks = static_cast<unsigned>(rows.capacity);
  if (blocks == 0 || cols == 0) return;
  if (is_packed(cols, table) && is_packed(cols, out)) {
    gather<true><<<blocks, threads_of(cols), 0, stream>>>(rows, cols, table, index, out);
  } else {
    gather<false><<<blocks, threads_of(cols), 0, stream>>>(rows, cols, table, index, out);
  }
}

template <typename T>
void add(const Rows& rows, int64_t cols, Matrix<const T> a, Matrix<const T> b, Matrix<T> out,
         cudaStream_t stream) {
  const auto blocks = static_cast<unsigned>(rows.capacity);
  if (blocks == 0 || cols == 0) return;
  if (is_packed(cols, a) && is_packed(cols, b) && is_packed(cols, out)) {
    sum<true><<<blocks, threads_of(cols), 0, stream>>>(rows, cols, a, b, out);
  } else {
    sum<false><<<blocks, threads_of(cols), 0, stream>>>(rows, cols, a, b, out);
  }
}

void copy_rows(int64_t rows, int64_t row_bytes, const std::byte* from, int64_t from_stride,
               std::byte* to, int64_t to_stride, cudaStream_t stream) {
  if (rows == 0 || row_bytes == 0) return;
  const auto width = static_cast<size_t>(row_bytes);
  const auto height = static_cast<size_t>(rows);
  if (rows == 1 || (from_stride == row_bytes && to_stride == row_bytes)) {
    cudaMemcpyAsync(to, from, width * height, cudaMemcpyDefault, stream);
  } else {
    cudaMemcpy2DAsync(to, static_cast<size_t>(to_stride), from, static_cast<size_t>(from_stride),
                      width, height, cudaMemcpyDefault, stream);
  }
}

template void gather_rows(const Rows&, int64_t, Matrix<const float>, const int32_t*, Matrix<float>,
                          cudaStream_t);
template void gather_rows(const Rows&, int64_t, Matrix<const bf16>, const int32_t*, Matrix<bf16>,
                          cudaStream_t);
template void add(const Rows&, int64_t, Matrix<const float>, Matrix<const float>, Matrix<float>,
                  cudaStream_t);
template void add(const Rows&, int64_t, Matrix<const bf16>, Matrix<const bf16>, Matrix<bf16>,
                  cudaStream_t);

}  // namespace braid::kernels::cuda

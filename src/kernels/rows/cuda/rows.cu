#include <algorithm>

#include "kernels/cuda/device.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/rows/cuda/rows.h"

namespace braid::kernels::cuda {
namespace {

// One block a row.
template <bool kPacked, typename T>
__global__ void __launch_bounds__(1024)
    gather(GatherRowsDesc desc, Rows rows, int64_t cols, Matrix<const T> table,
           const int32_t* index, Matrix<T> out) {
  start_in_turn();
  const int64_t row = blockIdx.x;
  if (row >= rows.live()) return;
  const int64_t from = int64_t{index[row]} - desc.first;
  const bool here = from >= 0 && from < desc.count;
  for (int64_t i = threadIdx.x * kPack; i < cols; i += blockDim.x * kPack) {
    Pack<T> pack{};
    if (here) pack = load_pack<kPacked>(table.row(from) + i, cols - i);
    store_pack<kPacked>(out.row(row) + i, cols - i, pack);
  }
}

constexpr int kIdThreads = 128;

__global__ void __launch_bounds__(kIdThreads) choose_ids(Rows rows, InputIdsArgs args) {
  start_in_turn();
  const int64_t row = int64_t{blockIdx.x} * kIdThreads + threadIdx.x;
  if (row >= rows.live()) return;
  const int32_t source = args.source[row];
  const int32_t id = source >= 0 ? args.sampled[source] : args.given[row];
  args.out[row] = id;
  if (args.kv_slots[row] >= 0) args.history[args.kv_slots[row]] = id;
}

constexpr int kJoinThreads = 256;
constexpr int kJoinColumns = 8 * kJoinThreads;  // of a block

// blockIdx.x is the row. A part may begin at any column, so that elements are moved one by one.
template <typename T>
__global__ void __launch_bounds__(kJoinThreads)
    join(Rows rows, int32_t cols, int32_t each, int64_t part_rows, Matrix<const T> in,
         Matrix<T> out) {
  start_in_turn();
  const int64_t row = blockIdx.x;
  if (row >= rows.live()) return;
  const auto first = static_cast<int32_t>(blockIdx.y) * kJoinColumns;
  const int32_t last = min(first + kJoinColumns, cols);
  for (int32_t col = first + static_cast<int32_t>(threadIdx.x); col < last; col += kJoinThreads) {
    const int32_t part = col / each;
    out.row(row)[col] = in.row(part * part_rows + row)[col - part * each];
  }
}

template <bool kPacked, typename T>
__global__ void __launch_bounds__(1024)
    sum(Rows rows, int64_t cols, Matrix<const T> a, Matrix<const T> b, Matrix<T> out) {
  start_in_turn();
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
void gather_rows(const GatherRowsDesc& desc, const Rows& rows, int64_t cols, Matrix<const T> table,
                 const int32_t* index, Matrix<T> out, const KernelStream& on) {
  const auto blocks = static_cast<unsigned>(rows.capacity);
  if (blocks == 0 || cols == 0) return;
  if (is_packed(cols, table) && is_packed(cols, out)) {
    launch_kernel(on, {blocks, threads_of(cols)}, gather<true, T>, desc, rows, cols, table, index,
                  out);
  } else {
    launch_kernel(on, {blocks, threads_of(cols)}, gather<false, T>, desc, rows, cols, table, index,
                  out);
  }
}

void input_ids(const Rows& rows, const InputIdsArgs& args, const KernelStream& on) {
  if (rows.capacity == 0) return;
  const auto blocks = static_cast<unsigned>(ceil_div(rows.capacity, kIdThreads));
  launch_kernel(on, {blocks, kIdThreads}, choose_ids, rows, args);
}

template <typename T>
void join_columns(const JoinColumnsDesc& desc, const Rows& rows, int64_t cols, int64_t part_rows,
                  Matrix<const T> in, Matrix<T> out, const KernelStream& on) {
  if (rows.capacity == 0 || cols == 0) return;
  const dim3 blocks(static_cast<unsigned>(rows.capacity),
                    static_cast<unsigned>(ceil_div(cols, kJoinColumns)));
  launch_kernel(on, {blocks, kJoinThreads}, join<T>, rows, static_cast<int32_t>(cols),
                static_cast<int32_t>(ceil_div(cols, desc.parts)), part_rows, in, out);
}

template <typename T>
void add(const Rows& rows, int64_t cols, Matrix<const T> a, Matrix<const T> b, Matrix<T> out,
         const KernelStream& on) {
  const auto blocks = static_cast<unsigned>(rows.capacity);
  if (blocks == 0 || cols == 0) return;
  if (is_packed(cols, a) && is_packed(cols, b) && is_packed(cols, out)) {
    launch_kernel(on, {blocks, threads_of(cols)}, sum<true, T>, rows, cols, a, b, out);
  } else {
    launch_kernel(on, {blocks, threads_of(cols)}, sum<false, T>, rows, cols, a, b, out);
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

template void gather_rows(const GatherRowsDesc&, const Rows&, int64_t, Matrix<const float>,
                          const int32_t*, Matrix<float>, const KernelStream&);
template void gather_rows(const GatherRowsDesc&, const Rows&, int64_t, Matrix<const bf16>,
                          const int32_t*, Matrix<bf16>, const KernelStream&);
template void join_columns(const JoinColumnsDesc&, const Rows&, int64_t, int64_t,
                           Matrix<const float>, Matrix<float>, const KernelStream&);
template void join_columns(const JoinColumnsDesc&, const Rows&, int64_t, int64_t,
                           Matrix<const bf16>, Matrix<bf16>, const KernelStream&);
template void add(const Rows&, int64_t, Matrix<const float>, Matrix<const float>, Matrix<float>,
                  const KernelStream&);
template void add(const Rows&, int64_t, Matrix<const bf16>, Matrix<const bf16>, Matrix<bf16>,
                  const KernelStream&);

}  // namespace braid::kernels::cuda

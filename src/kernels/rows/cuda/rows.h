// Row-wise moves and sums on the GPU: bit for bit the CPU's. T: float, bf16.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>

#include "kernels/cuda/kernel_stream.h"
#include "kernels/cuda/matrix.h"
#include "kernels/rows/input_ids_args.h"
#include "kernels/rows/rows_desc.h"

namespace braid::kernels::cuda {

// table [·, cols], index [rows], out [rows, cols].
template <typename T>
void gather_rows(const GatherRowsDesc& desc, const Rows& rows, int64_t cols, Matrix<const T> table,
                 const int32_t* index, Matrix<T> out, const KernelStream& on);

void input_ids(const Rows& rows, const InputIdsArgs& args, const KernelStream& on);

// out [rows, cols]; row r of a part lies part_rows rows behind that of the part before it.
template <typename T>
void join_columns(const JoinColumnsDesc& desc, const Rows& rows, int64_t cols, int64_t part_rows,
                  Matrix<const T> in, Matrix<T> out, const KernelStream& on);

// a, b, out [rows, cols]; out may be a or b.
template <typename T>
void add(const Rows& rows, int64_t cols, Matrix<const T> a, Matrix<const T> b, Matrix<T> out,
         const KernelStream& on);

// The first `row_bytes` of every row, by the copy engines; strides in bytes. Either side may be
// pinned memory of the host.
void copy_rows(int64_t rows, int64_t row_bytes, const std::byte* from, int64_t from_stride,
               std::byte* to, int64_t to_stride, cudaStream_t stream);

}  // namespace braid::kernels::cuda

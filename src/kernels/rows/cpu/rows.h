// Row-wise moves and sums on the CPU.
#pragma once

#include "kernels/matrix.h"
#include "kernels/rows/input_ids_args.h"
#include "kernels/rows/rows_desc.h"

namespace braid::kernels::cpu {

// table [·, cols], index [rows], out [rows, cols].
template <typename T>
void gather_rows(const GatherRowsDesc& desc, int64_t rows, int64_t cols, Matrix<const T> table,
                 const int32_t* index, Matrix<T> out);

void input_ids(int64_t rows, const InputIdsArgs& args);

// The first `rows` of out [R, cols]; row r of a part lies part_rows rows behind that of the part
// before it.
template <typename T>
void join_columns(const JoinColumnsDesc& desc, int64_t rows, int64_t cols, int64_t part_rows,
                  Matrix<const T> in, Matrix<T> out);

// a, b, out [rows, cols]; out may be a or b.
template <typename T>
void add(int64_t rows, int64_t cols, Matrix<const T> a, Matrix<const T> b, Matrix<T> out);

}  // namespace braid::kernels::cpu

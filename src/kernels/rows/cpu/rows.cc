#include "kernels/rows/cpu/rows.h"

#include <algorithm>

namespace braid::kernels::cpu {

template <typename T>
void gather_rows(const GatherRowsDesc& desc, int64_t rows, int64_t cols, Matrix<const T> table,
                 const int32_t* index, Matrix<T> out) {
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t from = int64_t{index[row]} - desc.first;
    if (from < 0 || from >= desc.count) {
      std::fill_n(out.row(row), cols, T{});
    } else {
      std::copy_n(table.row(from), cols, out.row(row));
    }
  }
}

void input_ids(int64_t rows, const InputIdsArgs& args) {
  for (int64_t row = 0; row < rows; ++row) {
    const int32_t source = args.source[row];
    args.out[row] = source >= 0 ? args.sampled[source] : args.given[row];
    if (args.kv_slots[row] >= 0) args.history[args.kv_slots[row]] = args.out[row];
  }
}

template <typename T>
void join_columns(const JoinColumnsDesc& desc, int64_t rows, int64_t cols, int64_t part_rows,
                  Matrix<const T> in, Matrix<T> out) {
  const int64_t each = (cols + desc.parts - 1) / desc.parts;
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t part = 0; part * each < cols; ++part) {
      std::copy_n(in.row(part * part_rows + row), std::min(each, cols - part * each),
                  out.row(row) + part * each);
    }
  }
}

template <typename T>
void add(int64_t rows, int64_t cols, Matrix<const T> a, Matrix<const T> b, Matrix<T> out) {
  for (int64_t row = 0; row < rows; ++row) {
    const T* a_row = a.row(row);
    const T* b_row = b.row(row);
    T* out_row = out.row(row);
    for (int64_t col = 0; col < cols; ++col) {
      out_row[col] = from_float<T>(to_float(a_row[col]) + to_float(b_row[col]));
    }
  }
}

template void gather_rows(const GatherRowsDesc&, int64_t, int64_t, Matrix<const float>,
                          const int32_t*, Matrix<float>);
template void gather_rows(const GatherRowsDesc&, int64_t, int64_t, Matrix<const bf16>,
                          const int32_t*, Matrix<bf16>);
template void join_columns(const JoinColumnsDesc&, int64_t, int64_t, int64_t, Matrix<const float>,
                           Matrix<float>);
template void join_columns(const JoinColumnsDesc&, int64_t, int64_t, int64_t, Matrix<const bf16>,
                           Matrix<bf16>);
template void add(int64_t, int64_t, Matrix<const float>, Matrix<const float>, Matrix<float>);
template void add(int64_t, int64_t, Matrix<const bf16>, Matrix<const bf16>, Matrix<bf16>);

}  // namespace braid::kernels::cpu

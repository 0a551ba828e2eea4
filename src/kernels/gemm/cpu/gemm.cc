#include "kernels/gemm/cpu/gemm.h"

#include <algorithm>

#include "base/status.h"
#include "kernels/cpu/dot.h"
#include "kernels/cpu/exp.h"

namespace braid::kernels::cpu {
namespace {

// Bytes of x that are passed over again for every few columns of W; they should stay in the
// second-level cache.
constexpr int64_t kPanelBytes = 512 * 1024;
constexpr int64_t kStripCols = 16;

template <typename X, typename W, typename Y>
struct Problem {
  Epilogue epilogue;
  int64_t k_slots;
  int64_t n;
  int64_t k;
  Matrix<const X> x;
  const int32_t* source;  // x's row for each row of y; null: the same
  Matrix<const W> w;
  const W* bias;
  Matrix<Y> y;

  const X* x_row(int64_t row) const { return x.row(source == nullptr ? row : source[row]); }
};

// Epilogue and the one rounding for columns [first, first + count) of a row of y; with swiglu both
// are columns of W, and even.
template <typename X, typename W, typename Y>
void finish(const Problem<X, W, Y>& problem, int64_t row, int64_t first, int64_t count,
            float* sums) {
  if (problem.bias != nullptr) {
    for (int64_t c = 0; c < count; ++c) sums[c] += to_float(problem.bias[first + c]);
  }
  Y* y = problem.y.row(row);
  if (problem.epilogue == Epilogue::swiglu) {
    for (int64_t c = 0; c < count / 2; ++c) {
      y[first / 2 + c] = from_float<Y>(silu(sums[2 * c]) * sums[2 * c + 1]);
    }
  } else {
    for (int64_t c = 0; c < count; ++c) y[first + c] = from_float<Y>(sums[c]);
  }
}

template <typename X, typename W, typename Y>
void compute_block(const Problem<X, W, Y>& problem, int64_t row, int64_t rows, int64_t col,
                   int64_t cols) {
  const int64_t k = problem.k / problem.k_slots;
  float sums[kBlockRows][kBlockCols];
  for (int64_t slot = 0; slot < problem.k_slots; ++slot) {
    const X* x[kBlockRows];
    const W* w[kBlockCols];
    for (int64_t r = 0; r < rows; ++r) x[r] = problem.x_row(row + r) + slot * k;
    for (int64_t c = 0; c < cols; ++c) w[c] = problem.w.row(slot * problem.n + col + c);
    if (slot == 0) {
      dot_block(rows, cols, k, x, w, sums);
      continue;
    }
    float products[kBlockRows][kBlockCols];
    dot_block(rows, cols, k, x, w, products);
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < cols; ++c) sums[r][c] += products[r][c];
    }
  }
  for (int64_t r = 0; r < rows; ++r) finish(problem, row + r, col, cols, sums[r]);
}

// Rows [begin, end) of y. One row takes blocks of 1 · 8, more take blocks of 3 · 4. Columns go in
// strips whose part of a row of y is a cache line or two.
template <typename X, typename W, typename Y>
void compute_rows(const Problem<X, W, Y>& problem, int64_t begin, int64_t end) {
  const int64_t row_bytes = std::max<int64_t>(1, problem.k * int64_t{sizeof(X)});
  const int64_t panel = std::max<int64_t>(8, kPanelBytes / row_bytes / kBlockRows) * kBlockRows;
  for (int64_t first = begin; first < end; first += panel) {
    const int64_t last = std::min(end, first + panel);
    const int64_t width = last - first == 1 ? kBlockCols : 4;
    for (int64_t strip = 0; strip < problem.n; strip += kStripCols) {
      const int64_t strip_end = std::min(problem.n, strip + kStripCols);
      for (int64_t row = first; row < last; row += kBlockRows) {
        const int64_t rows = std::min(kBlockRows, last - row);
        for (int64_t col = strip; col < strip_end; col += width) {
          compute_block(problem, row, rows, col, std::min(width, strip_end - col));
        }
      }
    }
  }
}

}  // namespace

template <typename X, typename W, typename Y>
void gemm(const GemmDesc& desc, int64_t m, int64_t n, int64_t k, Matrix<const X> x,
          Matrix<const W> w, const W* bias, Matrix<Y> y) {
  BRAID_CHECK(desc.k_slots >= 1 && k % desc.k_slots == 0, "k {} k_slots {}", k, desc.k_slots);
  BRAID_CHECK(desc.epilogue != Epilogue::swiglu || n % 2 == 0, "n {}", n);
  const Problem<X, W, Y> problem{desc.epilogue, desc.k_slots, n, k, x, nullptr, w, bias, y};
  compute_rows(problem, 0, m);
}

template <typename X, typename W, typename Y>
void grouped_gemm(const GroupedGemmDesc& desc, int64_t n, int64_t k, Matrix<const X> x,
                  const int32_t* source, const int32_t* offsets, Matrix<const W> w, Matrix<Y> y) {
  BRAID_CHECK(desc.epilogue != Epilogue::swiglu || n % 2 == 0, "n {}", n);
  Problem<X, W, Y> problem{desc.epilogue, 1, n, k, x, source, w, nullptr, y};
  for (int64_t slot = 0; slot < desc.num_slots; ++slot) {
    problem.w.data = w.row(slot * n);
    compute_rows(problem, offsets[slot], offsets[slot + 1]);
  }
}

template void gemm(const GemmDesc&, int64_t, int64_t, int64_t, Matrix<const float>,
                   Matrix<const float>, const float*, Matrix<float>);
template void gemm(const GemmDesc&, int64_t, int64_t, int64_t, Matrix<const bf16>,
                   Matrix<const bf16>, const bf16*, Matrix<bf16>);
template void gemm(const GemmDesc&, int64_t, int64_t, int64_t, Matrix<const bf16>,
                   Matrix<const bf16>, const bf16*, Matrix<float>);
template void grouped_gemm(const GroupedGemmDesc&, int64_t, int64_t, Matrix<const float>,
                           const int32_t*, const int32_t*, Matrix<const float>, Matrix<float>);
template void grouped_gemm(const GroupedGemmDesc&, int64_t, int64_t, Matrix<const bf16>,
                           const int32_t*, const int32_t*, Matrix<const bf16>, Matrix<bf16>);
template void grouped_gemm(const GroupedGemmDesc&, int64_t, int64_t, Matrix<const bf16>,
                           const int32_t*, const int32_t*, Matrix<const bf16>, Matrix<float>);

}  // namespace braid::kernels::cpu

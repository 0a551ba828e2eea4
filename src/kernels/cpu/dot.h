// Dot products of a few rows with a few rows: the inner part of GEMM and attention. Each product is
// summed in one order that depends on k alone, so rows · cols may be cut into blocks at will.
#pragma once

#include <algorithm>
#include <cstdint>

namespace braid::kernels::cpu {

inline constexpr int64_t kBlockRows = 3;  // 3 · 4 accumulators and their operands fill 16 registers
inline constexpr int64_t kBlockCols = 8;

// sums[r][c] = x[r] · w[c], rows of k elements; 1 ≤ rows ≤ kBlockRows, 1 ≤ cols ≤ kBlockCols.
// Blocks of 3 · 4 are the fastest for many rows, blocks of 1 · 8 for one.
// For X, W of {float, float}, {bf16, bf16}, {float, bf16}.
template <typename X, typename W>
void dot_block(int64_t rows, int64_t cols, int64_t k, const X* const* x, const W* const* w,
               float (*sums)[kBlockCols]);

// out[r · stride + c] = x_row(r) · w_row(c).
template <typename XRow, typename WRow>
void dot_rows(int64_t rows, int64_t cols, int64_t k, XRow x_row, WRow w_row, float* out,
              int64_t stride) {
  const int64_t step = rows == 1 ? kBlockCols : 4;
  float sums[kBlockRows][kBlockCols];
  for (int64_t c = 0; c < cols; c += step) {
    decltype(w_row(c)) w[kBlockCols];
    const int64_t width = std::min(step, cols - c);
    for (int64_t i = 0; i < width; ++i) w[i] = w_row(c + i);
    for (int64_t r = 0; r < rows; r += kBlockRows) {
      decltype(x_row(r)) x[kBlockRows];
      const int64_t height = std::min(kBlockRows, rows - r);
      for (int64_t i = 0; i < height; ++i) x[i] = x_row(r + i);
      dot_block(height, width, k, x, w, sums);
      for (int64_t i = 0; i < height; ++i) {
        std::copy_n(sums[i], width, out + (r + i) * stride + c);
      }
    }
  }
}

}  // namespace braid::kernels::cpu

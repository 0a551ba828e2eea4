#include "kernels/cpu/dot.h"

#include "kernels/cpu/lanes.h"

namespace braid::kernels::cpu {
namespace {

// One half step of all products of the tile, from element i of every row.
template <int kHalf, int kRows, int kCols, typename X, typename W>
[[gnu::always_inline]] inline void accumulate(const X* const* x, const W* const* w, int64_t i,
                                              Lanes (&sums)[kRows][kCols]) {
  Lanes columns[kCols];
#pragma GCC unroll 8
  for (int c = 0; c < kCols; ++c) columns[c] = load_half<W, kHalf>(w[c] + i);
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    const Lanes row = load_half<W, kHalf>(x[r] + i);
#pragma GCC unroll 8
    for (int c = 0; c < kCols; ++c) sums[r][c] = fma(row, columns[c], sums[r][c]);
  }
}

// The last k % kStep elements, filled up with zeros.
template <int kRows, int kCols, typename X, typename W>
[[gnu::always_inline]] inline void accumulate_tail(const X* const* x, const W* const* w, int64_t i,
                                                   int64_t k, Lanes (&sums)[kRows][kCols]) {
  X x_tail[kRows][kStep] = {};
  W w_tail[kCols][kStep] = {};
  const X* x_rows[kRows];
  const W* w_rows[kCols];
  for (int r = 0; r < kRows; ++r) {
    std::copy(x[r] + i, x[r] + k, x_tail[r]);
    x_rows[r] = x_tail[r];
  }
  for (int c = 0; c < kCols; ++c) {
    std::copy(w[c] + i, w[c] + k, w_tail[c]);
    w_rows[c] = w_tail[c];
  }
  accumulate<0>(x_rows, w_rows, 0, sums);
  accumulate<1>(x_rows, w_rows, 0, sums);
}

// out[r · kBlockCols + c] = x_rows[r] · w_rows[c].
template <int kRows, int kCols, typename X, typename W>
[[gnu::noinline]] void dot_tile(int64_t k, const X* const* x_rows, const W* const* w_rows,
                                float* out) {
  const X* x[kRows];
  const W* w[kCols];
  std::copy_n(x_rows, kRows, x);
  std::copy_n(w_rows, kCols, w);
  Lanes sums[kRows][kCols] = {};
  int64_t i = 0;
  for (; i + kStep <= k; i += kStep) {
    accumulate<0>(x, w, i, sums);
    accumulate<1>(x, w, i, sums);
  }
  if (i < k) accumulate_tail(x, w, i, k, sums);
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int c = 0; c < kCols; ++c) settle(sums[r][c]);
    if constexpr (kCols % 4 == 0) {
#pragma GCC unroll 8
      for (int c = 0; c < kCols; c += 4) {
        const Quad four = sum_of_each(sums[r][c], sums[r][c + 1], sums[r][c + 2], sums[r][c + 3]);
        std::memcpy(out + r * kBlockCols + c, &four, sizeof(four));
      }
    } else {
      for (int c = 0; c < kCols; ++c) out[r * kBlockCols + c] = sum_of(sums[r][c]);
    }
  }
}

template <int kRows, typename X, typename W>
void dot_columns(int64_t cols, int64_t k, const X* const* x, const W* const* w, float* sums) {
  int64_t c = 0;
  if constexpr (kRows == 1) {
    if (cols == 8) return dot_tile<1, 8>(k, x, w, sums);
  }
  for (; c + 4 <= cols; c += 4) {
    dot_tile<kRows, 4>(k, x, w + c, sums + c);
  }
  for (; c < cols; ++c) {
    dot_tile<kRows, 1>(k, x, w + c, sums + c);
  }
}

}  // namespace

template <typename X, typename W>
void dot_block(int64_t rows, int64_t cols, int64_t k, const X* const* x, const W* const* w,
               float (*sums)[kBlockCols]) {
  switch (rows) {
    case 1: return dot_columns<1>(cols, k, x, w, &sums[0][0]);
    case 2: return dot_columns<2>(cols, k, x, w, &sums[0][0]);
    default: return dot_columns<3>(cols, k, x, w, &sums[0][0]);
  }
}

template void dot_block(int64_t, int64_t, int64_t, const float* const*, const float* const*,
                        float (*)[kBlockCols]);
template void dot_block(int64_t, int64_t, int64_t, const bf16* const*, const bf16* const*,
                        float (*)[kBlockCols]);
template void dot_block(int64_t, int64_t, int64_t, const float* const*, const bf16* const*,
                        float (*)[kBlockCols]);

}  // namespace braid::kernels::cpu

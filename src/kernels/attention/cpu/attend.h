// One query token's attention to a list of cached rows, for several heads that share keys and
// values: what grouped-query and latent attention have in common. Sums run over positions in
// order, in float32.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/cpu/dot.h"
#include "kernels/cpu/lanes.h"
#include "kernels/cpu/softmax.h"

namespace braid::kernels::cpu {

inline constexpr int64_t kSumCols = 2 * kStep;  // columns summed at a time
inline constexpr int64_t kSumHeads = 2;         // heads that read them together

// out[h][c] = Σ_i weights[h · stride + i] · row_of(i)[c] for kHeads heads and the `count` ≤
// kSumCols columns of a strip.
template <int kHeads, typename T, typename RowOf>
void sum_strip(const float* weights, int64_t stride, int64_t rows, RowOf row_of, int64_t count,
               float (*out)[kSumCols]) {
  Lanes sums[kHeads][4] = {};
  T padded[kSumCols] = {};
  for (int64_t i = 0; i < rows; ++i) {
    const T* row = row_of(i);
    if (count < kSumCols) row = (std::copy_n(row, count, padded), padded);
    const Lanes values[4] = {load_half<T, 0>(row), load_half<T, 1>(row),
                             load_half<T, 0>(row + kStep), load_half<T, 1>(row + kStep)};
#pragma GCC unroll 2
    for (int h = 0; h < kHeads; ++h) {
      const Lanes weight = broadcast(weights[h * stride + i]);
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) sums[h][j] = fma(weight, values[j], sums[h][j]);
    }
  }
#pragma GCC unroll 2
  for (int h = 0; h < kHeads; ++h) {
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) settle(sums[h][j]);
    store_halves<T>(out[h], sums[h][0], sums[h][1]);
    store_halves<T>(out[h] + kStep, sums[h][2], sums[h][3]);
  }
}

// out[h · cols + c] = Σ_i weights[h · stride + i] · row_of(i)[c], i = 0 … rows − 1 in order.
template <typename T, typename RowOf>
void sum_rows(int64_t heads, const float* weights, int64_t stride, int64_t rows, RowOf row_of,
              int64_t cols, float* out) {
  float strip[kSumHeads][kSumCols];
  for (int64_t first = 0; first < cols; first += kSumCols) {
    const int64_t count = std::min(kSumCols, cols - first);
    const auto strip_of = [&](int64_t i) { return row_of(i) + first; };
    for (int64_t h = 0; h < heads; h += kSumHeads) {
      const int64_t height = std::min(kSumHeads, heads - h);
      const float* from = weights + h * stride;
      if (height == kSumHeads) {
        sum_strip<kSumHeads, T>(from, stride, rows, strip_of, count, strip);
      } else {
        sum_strip<1, T>(from, stride, rows, strip_of, count, strip);
      }
      for (int64_t i = 0; i < height; ++i) {
        std::copy_n(strip[i], count, out + (h + i) * cols + first);
      }
    }
  }
}

// What the heads attend to: rows [count] of the cache, of which the first key_dim elements behind
// key_offset are the key, and value_dim behind value_offset the value.
template <typename T>
struct Attended {
  const T* const* rows;
  int64_t count;
  int64_t key_offset;
  int64_t key_dim;
  int64_t value_offset;
  int64_t value_dim;
};

// q [heads, key_dim], scores [heads, count] (scratch) → out [heads, value_dim]; all contiguous.
template <typename T>
void attend(int64_t heads, float scale, const Attended<T>& to, const float* q, float* scores,
            float* out) {
  dot_rows(
      heads, to.count, to.key_dim, [&](int64_t h) { return q + h * to.key_dim; },
      [&](int64_t i) { return to.rows[i] + to.key_offset; }, scores, to.count);
  for (int64_t h = 0; h < heads; ++h) {
    float* row = scores + h * to.count;
    softmax(scale, to.count, row, row);
  }
  sum_rows<T>(
      heads, scores, to.count, to.count, [&](int64_t i) { return to.rows[i] + to.value_offset; },
      to.value_dim, out);
}

}  // namespace braid::kernels::cpu

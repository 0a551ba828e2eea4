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
// Rows that all heads and columns pass over before the next rows, so that they stay in cache.
inline constexpr int64_t kSumRows = 128;

// sums[h][c] += Σ_i weights[h · stride + i] · row_of(i)[c], term by term, for kHeads heads and the
// `count` ≤ kSumCols columns of a strip.
template <int kHeads, typename T, typename RowOf>
void add_strip(const float* weights, int64_t stride, int64_t rows, RowOf row_of, int64_t count,
               float (*sums)[kSumCols]) {
  Lanes lanes[kHeads][4];
#pragma GCC unroll 2
  for (int h = 0; h < kHeads; ++h) {
    lanes[h][0] = load_half<T, 0>(sums[h]);
    lanes[h][1] = load_half<T, 1>(sums[h]);
    lanes[h][2] = load_half<T, 0>(sums[h] + kStep);
    lanes[h][3] = load_half<T, 1>(sums[h] + kStep);
  }
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
      for (int j = 0; j < 4; ++j) lanes[h][j] = fma(weight, values[j], lanes[h][j]);
    }
  }
#pragma GCC unroll 2
  for (int h = 0; h < kHeads; ++h) {
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) settle(lanes[h][j]);
    store_halves<T>(sums[h], lanes[h][0], lanes[h][1]);
    store_halves<T>(sums[h] + kStep, lanes[h][2], lanes[h][3]);
  }
}

// out[h · cols + c] = Σ_i weights[h · stride + i] · row_of(i)[c], i = 0 … rows − 1 in order.
template <typename T, typename RowOf>
void sum_rows(int64_t heads, const float* weights, int64_t stride, int64_t rows, RowOf row_of,
              int64_t cols, float* out) {
  std::fill_n(out, heads * cols, 0.0f);
  float strip[kSumHeads][kSumCols] = {};
  const auto add = [&](int64_t begin, int64_t col, int64_t head) {
    const int64_t some_rows = std::min(kSumRows, rows - begin);
    const int64_t some_cols = std::min(kSumCols, cols - col);
    const int64_t some_heads = std::min(kSumHeads, heads - head);
    const float* from = weights + head * stride + begin;
    float* to = out + head * cols + col;
    const auto part_of = [&](int64_t i) { return row_of(begin + i) + col; };
    for (int64_t h = 0; h < some_heads; ++h) std::copy_n(to + h * cols, some_cols, strip[h]);
    if (some_heads == kSumHeads) {
      add_strip<kSumHeads, T>(from, stride, some_rows, part_of, some_cols, strip);
    } else {
      add_strip<1, T>(from, stride, some_rows, part_of, some_cols, strip);
    }
    for (int64_t h = 0; h < some_heads; ++h) std::copy_n(strip[h], some_cols, to + h * cols);
  };
  for (int64_t begin = 0; begin < rows; begin += kSumRows) {
    for (int64_t col = 0; col < cols; col += kSumCols) {
      for (int64_t head = 0; head < heads; head += kSumHeads) add(begin, col, head);
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

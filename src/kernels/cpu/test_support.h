// What the kernels' tests share: matrices with guarded padding, random values, and the proof that a
// kernel is row-invariant.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "kernels/matrix.h"

namespace braid::kernels::cpu {

using Random = std::mt19937_64;

// Uniform in [−1, 1), rounded to T.
template <typename T>
T random_value(Random& random) {
  return from_float<T>(static_cast<float>(random() >> 40) * 0x1p-23f - 1.0f);
}

inline int64_t random_below(Random& random, int64_t bound) {
  return static_cast<int64_t>(random() % static_cast<uint64_t>(bound));
}

// rows · cols elements in rows of `cols + padding`. The padding holds a pattern which must survive,
// and which as a float is about 1e20, so that a kernel that reads it is found out.
template <typename T>
class Grid {
 public:
  Grid(int64_t rows, int64_t cols, int64_t padding = 0)
      : rows_(rows), cols_(cols), stride_(cols + padding) {
    data_.resize(static_cast<size_t>(rows * stride_));
    if (!data_.empty()) std::memset(data_.data(), 0x60, data_.size() * sizeof(T));
  }
  Grid(Random& random, int64_t rows, int64_t cols, int64_t padding = 0)
      : Grid(rows, cols, padding) {
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < cols; ++c) at(r, c) = random_value<T>(random);
    }
  }

  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }
  T& at(int64_t row, int64_t col) { return data_[static_cast<size_t>(row * stride_ + col)]; }
  double value(int64_t row, int64_t col) const {
    return static_cast<double>(to_float(data_[static_cast<size_t>(row * stride_ + col)]));
  }
  Matrix<T> matrix(int64_t first_row = 0) { return {data_.data() + first_row * stride_, stride_}; }
  Matrix<const T> input(int64_t first_row = 0) const {
    return {data_.data() + first_row * stride_, stride_};
  }

  bool same_row(int64_t row, const Grid& other, int64_t other_row) const {
    return std::memcmp(input().row(row), other.input().row(other_row),
                       static_cast<size_t>(cols_) * sizeof(T)) == 0;
  }

  void expect_padding_kept() const {
    for (int64_t r = 0; r < rows_; ++r) {
      const T* row = input().row(r);
      for (int64_t c = cols_; c < stride_; ++c) {
        std::array<uint8_t, sizeof(T)> bytes;
        std::memcpy(bytes.data(), row + c, sizeof(T));
        for (const uint8_t byte : bytes) ASSERT_EQ(byte, 0x60) << "row " << r << " column " << c;
      }
    }
  }

 private:
  int64_t rows_;
  int64_t cols_;
  int64_t stride_;
  std::vector<T> data_;
};

// Half a unit in the last place of T, relative.
template <typename T>
constexpr double kRounding = std::is_same_v<T, float> ? 0x1p-24 : 0x1p-8;

// run(first, count, out) computes rows [first, first + count) of one and the same input into rows
// 0 … count − 1 of out [count, cols]. Every batch size from 1 to 67 is run somewhere in the input,
// and each row alone: row for row the bytes must be those of the whole.
template <typename Y, typename Run>
void expect_row_invariant(int64_t cols, Run run) {
  constexpr int64_t kRows = 67;
  Grid<Y> whole(kRows, cols);
  run(0, kRows, whole);
  const auto compare = [&](int64_t first, int64_t count) {
    Grid<Y> part(count, cols, 3);
    run(first, count, part);
    for (int64_t r = 0; r < count; ++r) {
      ASSERT_TRUE(part.same_row(r, whole, first + r)) << "row " << first + r << " of " << count;
    }
    part.expect_padding_kept();
  };
  for (int64_t row = 0; row < kRows; ++row) compare(row, 1);
  for (int64_t count = 2; count < kRows; ++count) compare(count * 7 % (kRows - count + 1), count);
}

}  // namespace braid::kernels::cpu

// What the tests of the GPU's kernels share: grids that are copied there and back, and comparisons
// with what the CPU gives.
#pragma once

#include <cuda_runtime_api.h>

#include <functional>

#include "kernels/cpu/test_support.h"
#include "kernels/cuda/matrix.h"

namespace braid::kernels::cuda {

using cpu::Grid;
using cpu::Random;

inline bool has_gpu() {
  int count = 0;
  if (cudaGetDeviceCount(&count) == cudaSuccess) return count > 0;
  (void)cudaGetLastError();  // or a later check would report it
  return false;
}

// A test that needs a GPU begins with this.
#define BRAID_NEEDS_GPU() \
  if (!::braid::kernels::cuda::has_gpu()) GTEST_SKIP() << "no GPU"

inline void expect_cuda(cudaError_t code) {
  ASSERT_EQ(code, cudaSuccess) << cudaGetErrorString(code);
}

// Elements in device memory; freed with the object.
template <typename T>
class DeviceArray {
 public:
  explicit DeviceArray(const std::vector<T>& values) : size_(values.size()) {
    void* data = nullptr;
    expect_cuda(cudaMalloc(&data, std::max<size_t>(size_ * sizeof(T), 1)));
    data_ = static_cast<T*>(data);
    expect_cuda(cudaMemcpy(data_, values.data(), size_ * sizeof(T), cudaMemcpyHostToDevice));
  }
  // `count` elements of bytes 0xff: NaN, or −1.
  explicit DeviceArray(int64_t count) : DeviceArray(poison(count)) {}
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;
  ~DeviceArray() { cudaFree(data_); }

  T* data() const { return data_; }
  // Waits for all kernels before.
  std::vector<T> fetch() const {
    expect_cuda(cudaDeviceSynchronize());
    expect_cuda(cudaGetLastError());
    std::vector<T> values(size_);
    expect_cuda(cudaMemcpy(values.data(), data_, size_ * sizeof(T), cudaMemcpyDeviceToHost));
    return values;
  }

 private:
  static std::vector<T> poison(int64_t count) {
    std::vector<T> values(static_cast<size_t>(count));
    if (count > 0) std::memset(values.data(), 0xff, values.size() * sizeof(T));
    return values;
  }

  size_t size_;
  T* data_ = nullptr;
};

// A Grid's copy in device memory, padding and all.
template <typename T>
class DeviceGrid {
 public:
  explicit DeviceGrid(const Grid<T>& grid) : host_(grid), data_(all_of(grid)) {}
  // For results: elements of bytes 0xff.
  DeviceGrid(int64_t rows, int64_t cols, int64_t padding = 0)
      : DeviceGrid(poisoned(rows, cols, padding)) {}

  Matrix<T> matrix(int64_t first_row = 0, int64_t first_col = 0) const {
    const int64_t stride = host_.input().stride;
    return {data_.data() + first_row * stride + first_col, stride};
  }
  Matrix<const T> input(int64_t first_row = 0, int64_t first_col = 0) const {
    const Matrix<T> all = matrix(first_row, first_col);
    return {all.data, all.stride};
  }
  // What is there now; its padding must be what it was.
  Grid<T> fetch() const {
    Grid<T> grid = host_;
    const std::vector<T> values = data_.fetch();
    std::copy(values.begin(), values.end(), grid.matrix().data);
    grid.expect_padding_kept();
    return grid;
  }

 private:
  static std::vector<T> all_of(const Grid<T>& grid) {
    const Matrix<const T> all{grid.input().data, grid.input().stride};
    return std::vector<T>(all.data, all.row(grid.rows()));
  }
  static Grid<T> poisoned(int64_t rows, int64_t cols, int64_t padding) {
    Grid<T> grid(rows, cols, padding);
    for (int64_t r = 0; r < rows; ++r)
      std::memset(grid.matrix().row(r), 0xff, static_cast<size_t>(cols) * sizeof(T));
    return grid;
  }

  Grid<T> host_;
  DeviceArray<T> data_;
};

// Whether an element of a result still is what DeviceGrid put there.
template <typename T>
bool is_untouched(T value) {
  std::array<uint8_t, sizeof(T)> bytes;
  std::memcpy(bytes.data(), &value, sizeof(T));
  return std::all_of(bytes.begin(), bytes.end(), [](uint8_t byte) { return byte == 0xff; });
}

template <typename T>
void expect_untouched(Grid<T>& got, int64_t from_row) {
  for (int64_t r = from_row; r < got.rows(); ++r) {
    for (int64_t c = 0; c < got.cols(); ++c) {
      ASSERT_TRUE(is_untouched(got.at(r, c))) << "row " << r << " column " << c;
    }
  }
}

// ‖got − want‖ / ‖want‖ ≤ bound over the first `rows` rows, no row above three times the bound, and
// nothing written behind them.
template <typename T>
void expect_near(Grid<T>& got, const Grid<T>& want, int64_t rows, double bound) {
  double all_errors = 0, all_squares = 0;
  for (int64_t r = 0; r < rows; ++r) {
    double errors = 0, squares = 0;
    for (int64_t c = 0; c < want.cols(); ++c) {
      const double error = got.value(r, c) - want.value(r, c);
      errors += error * error;
      squares += want.value(r, c) * want.value(r, c);
    }
    ASSERT_LE(std::sqrt(errors), 3 * bound * std::sqrt(squares)) << "row " << r;
    all_errors += errors;
    all_squares += squares;
  }
  ASSERT_LE(std::sqrt(all_errors), bound * std::sqrt(all_squares));
  expect_untouched(got, rows);
}

// The first `rows` rows have the same bytes, and nothing is written behind them.
template <typename T>
void expect_same(Grid<T>& got, const Grid<T>& want, int64_t rows) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < want.cols(); ++c) {
      ASSERT_EQ(got.value(r, c), want.value(r, c)) << "row " << r << " column " << c;
    }
    ASSERT_TRUE(got.same_row(r, want, r)) << "row " << r;
  }
  expect_untouched(got, rows);
}

// run(first, count, out) computes rows [first, first + count) of one and the same input of `rows`
// into rows 0 … count − 1 of out [count, cols]: row for row the bytes must be those of the whole.
template <typename T>
void expect_row_invariant(int64_t rows, int64_t cols,
                          const std::function<void(int64_t, int64_t, Matrix<T>)>& run) {
  const auto compute = [&](int64_t first, int64_t count) {
    const DeviceGrid<T> out(count, cols);
    run(first, count, out.matrix());
    return out.fetch();
  };
  const Grid<T> whole = compute(0, rows);
  for (int64_t first = 0; first < rows; ++first) {
    const int64_t count = 1 + first * 5 % (rows - first);
    for (const int64_t some : {int64_t{1}, count}) {
      const Grid<T> part = compute(first, some);
      for (int64_t r = 0; r < some; ++r) {
        ASSERT_TRUE(part.same_row(r, whole, first + r)) << "row " << first + r << " of " << some;
      }
    }
  }
}

// A grid in the form that the CPU's kernels take.
template <typename T>
Matrix<const T> on_cpu(const Grid<T>& grid, int64_t first_row = 0, int64_t first_col = 0) {
  const Matrix<const T> all = grid.input(first_row);
  return {all.data + first_col, all.stride};
}

}  // namespace braid::kernels::cuda

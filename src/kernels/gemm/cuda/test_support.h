// What the tests of the GPU's products share: grids in device memory, and comparisons.
#pragma once

#include <cuda_runtime_api.h>

#include <string>

#include "kernels/cpu/test_support.h"

namespace braid::kernels::cuda::gemm_test {

using cpu::Grid;
using cpu::Random;

inline bool has_gpu() {
  int count = 0;
  const bool found = cudaGetDeviceCount(&count) == cudaSuccess && count > 0;
  (void)cudaGetLastError();
  return found;
}

// Ends a test early where there is nothing to run it on.
#define BRAID_GPU_TEST() \
  if (!::braid::kernels::cuda::gemm_test::has_gpu()) GTEST_SKIP() << "no GPU"

inline void need(cudaError_t code) { ASSERT_EQ(code, cudaSuccess) << cudaGetErrorString(code); }

// Waits for all that was launched, and reports its errors.
inline void synchronize() {
  need(cudaGetLastError());
  need(cudaDeviceSynchronize());
}

// Device memory whose bytes are 0xff at first: NaN, as a float.
class DeviceBytes {
 public:
  explicit DeviceBytes(size_t bytes) : bytes_(bytes) {
    need(cudaMalloc(&data_, bytes + 1));
    need(cudaMemset(data_, 0xff, bytes + 1));
  }
  DeviceBytes(const void* from, size_t bytes) : DeviceBytes(bytes) { upload(from, 0, bytes); }
  template <typename T>
  explicit DeviceBytes(const std::vector<T>& from)
      : DeviceBytes(from.data(), from.size() * sizeof(T)) {}
  DeviceBytes(const DeviceBytes&) = delete;
  DeviceBytes& operator=(const DeviceBytes&) = delete;
  ~DeviceBytes() { cudaFree(data_); }

  template <typename T>
  T* as() const {
    return static_cast<T*>(data_);
  }
  void upload(const void* from, size_t at, size_t bytes) const {
    need(cudaMemcpy(as<std::byte>() + at, from, bytes, cudaMemcpyHostToDevice));
  }
  std::vector<std::byte> download() const {
    std::vector<std::byte> out(bytes_);
    need(cudaMemcpy(out.data(), data_, bytes_, cudaMemcpyDeviceToHost));
    return out;
  }

 private:
  void* data_ = nullptr;
  size_t bytes_;
};

// A grid's rows in device memory, with its padding, `shift` elements behind an aligned address.
template <typename T>
class DeviceGrid {
 public:
  explicit DeviceGrid(const Grid<T>& grid, int64_t shift = 0)
      : DeviceGrid(grid.rows(), grid.input().stride, shift) {
    bytes_.upload(grid.input().data, static_cast<size_t>(shift) * sizeof(T), size(grid));
  }
  // Poisoned with NaN.
  DeviceGrid(int64_t rows, int64_t stride, int64_t shift = 0)
      : stride_(stride),
        shift_(shift),
        bytes_(static_cast<size_t>(rows * stride + shift) * sizeof(T)) {}

  T* data(int64_t row = 0) const { return bytes_.template as<T>() + shift_ + row * stride_; }
  int64_t stride() const { return stride_; }
  // Into a grid of the same rows and stride.
  void download(Grid<T>& grid) const {
    synchronize();
    need(cudaMemcpy(grid.matrix().data, data(), size(grid), cudaMemcpyDeviceToHost));
  }

 private:
  static size_t size(const Grid<T>& grid) {
    return static_cast<size_t>(grid.rows() * grid.input().stride) * sizeof(T);
  }

  int64_t stride_;
  int64_t shift_;
  DeviceBytes bytes_;
};

// ‖got − want‖ / ‖want‖ ≤ bound over all columns of `cols`, and no row above three times the bound.
template <typename T>
void expect_near(const Grid<T>& got, const Grid<T>& want, int64_t cols, double bound) {
  double error = 0, norm = 0;
  for (int64_t r = 0; r < want.rows(); ++r) {
    double row_error = 0, row_norm = 0;
    for (int64_t c = 0; c < cols; ++c) {
      const double difference = got.value(r, c) - want.value(r, c);
      row_error += difference * difference;
      row_norm += want.value(r, c) * want.value(r, c);
    }
    ASSERT_LE(std::sqrt(row_error), 3 * bound * std::sqrt(row_norm)) << "row " << r;
    error += row_error;
    norm += row_norm;
  }
  ASSERT_LE(std::sqrt(error), bound * std::sqrt(norm));
}

// Elements [from_col, stride) of all rows, and all of rows [from_row, rows), are still poison.
template <typename T>
void expect_poison(const Grid<T>& grid, int64_t from_row, int64_t from_col) {
  for (int64_t r = 0; r < grid.rows(); ++r) {
    for (int64_t c = r < from_row ? from_col : 0; c < grid.input().stride; ++c) {
      std::array<uint8_t, sizeof(T)> bytes;
      std::memcpy(bytes.data(), grid.input().row(r) + c, sizeof(T));
      for (const uint8_t byte : bytes) ASSERT_EQ(byte, 0xff) << "row " << r << " column " << c;
    }
  }
}

// Largest relative error of a product, by the format of its result.
template <typename Y>
constexpr double kBound = std::is_same_v<Y, bf16> ? 1e-2 : 1e-4;

}  // namespace braid::kernels::cuda::gemm_test

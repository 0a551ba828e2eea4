// What the GPU's kernels see of an operand beside its Matrix. Members are constexpr, so that host
// and device call them alike.
#pragma once

#include "kernels/matrix.h"

namespace braid::kernels::cuda {

// How many rows a kernel works on: `capacity`, for which it is launched, or, where a count in
// device memory says how many rows of the buffer are real, clamp(*count − first, 0, capacity).
struct Rows {
  int64_t capacity = 0;
  int64_t first = 0;  // index of row 0 in the buffer
  const int32_t* count = nullptr;

  // Where there is a count, only the device can call it.
  constexpr int64_t live() const {
    if (count == nullptr) return capacity;
    const int64_t real = *count - first;
    return real < 0 ? 0 : real < capacity ? real : capacity;
  }
};

// Elements that a thread takes at a time: 16 bytes of bf16.
inline constexpr int kPack = 8;

// Whether rows of `cols` elements can be accessed in packs.
template <typename T>
bool is_packed(int64_t cols, const T* data, int64_t stride) {
  return reinterpret_cast<uintptr_t>(data) % 16 == 0 && cols % kPack == 0 &&
         stride * static_cast<int64_t>(sizeof(T)) % 16 == 0;
}
template <typename T>
bool is_packed(int64_t cols, Matrix<T> matrix) {
  return is_packed(cols, matrix.data, matrix.stride);
}

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace braid::kernels::cuda

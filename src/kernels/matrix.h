// What kernels see of an operand with rows, on every device.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/float16.h"

namespace braid::kernels {

// A row-major matrix: `stride` elements from row to row, columns contiguous. It may be some columns
// of a wider matrix, so that nothing but the alignment of its elements is certain.
template <typename T>
struct Matrix {
  T* data = nullptr;
  int64_t stride = 0;

  // constexpr, so that host and device call it alike.
  constexpr T* row(int64_t index) const { return data + index * stride; }
};

}  // namespace braid::kernels

// Operands of the experts' second product with all that follows it, on every device.
#pragma once

#include "kernels/matrix.h"
#include "kernels/moe/moe_desc.h"

namespace braid::kernels {

// What is added to a combination, in this order; data null where it is not.
template <typename T>
struct Addends {
  Matrix<const T> shared;    // [rows, cols]
  Matrix<const T> residual;  // the same
};

template <typename T>
struct ExpertsDownArgs {
  int64_t rows = 0;          // of out
  int64_t n = 0;             // columns of out
  int64_t k = 0;             // of x
  int64_t top_k = 0;         // columns of weights
  int64_t grouped_rows = 0;  // most that offsets can tell of
  Matrix<const T> x;
  const int32_t* offsets = nullptr;  // [num_slots + 1]
  Matrix<const T> w;                 // [num_slots · n, k]
  Matrix<const int32_t> places;      // [rows, top_k + num_shared]
  Matrix<const float> weights;       // [rows, top_k]
  Addends<T> addends;
  Matrix<T> out;
};

// Memory for the products of all rows.
constexpr int64_t experts_down_scratch_bytes(int64_t grouped_rows, int64_t n,
                                             int64_t element_bytes) {
  return grouped_rows * n * element_bytes;
}

}  // namespace braid::kernels

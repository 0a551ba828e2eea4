// Quantized rows on the CPU.
#pragma once

#include "kernels/quantize/quantized_rows.h"

namespace braid::kernels::cpu {

// x [rows, cols], errors [rows, 2].
template <typename T>
void quantize_rows(const QuantizeRowsDesc& desc, int64_t rows, int64_t cols, Matrix<const T> x,
                   const QuantizedRows<uint8_t>& to, Matrix<double> errors);

// out [rows, cols].
template <typename T>
void dequantize_rows(const DequantizeRowsDesc& desc, int64_t rows, int64_t cols,
                     const QuantizedRows<const uint8_t>& from, Matrix<T> out);

// errors [rows, 2], ids [rows, ·], sums [2].
void sum_errors(int64_t rows, Matrix<const double> errors, Matrix<const int32_t> ids, double* sums);

}  // namespace braid::kernels::cpu

// Quantized rows on the GPU: payload, scales and what comes back are bit for bit the CPU's. Scales
// of f32 start on 4 bytes, and so do their rows.
#pragma once

#include <cuda_runtime_api.h>

#include "kernels/cuda/kernel_stream.h"
#include "kernels/cuda/matrix.h"
#include "kernels/quantize/quantized_rows.h"

namespace braid::kernels::cuda {

// x [rows, cols], errors [rows, 2]. T: float, bf16.
template <typename T>
void quantize_rows(const QuantizeRowsDesc& desc, int64_t rows, int64_t cols, Matrix<const T> x,
                   const QuantizedRows<uint8_t>& to, Matrix<double> errors, const KernelStream& on);

// out [rows, cols]. T: float, bf16.
template <typename T>
void dequantize_rows(const DequantizeRowsDesc& desc, int64_t rows, int64_t cols,
                     const QuantizedRows<const uint8_t>& from, Matrix<T> out,
                     const KernelStream& on);

// errors [rows, 2], ids [rows, ·], sums [2]. In one order, whatever the GPU, which is not the
// CPU's.
void sum_errors(int64_t rows, Matrix<const double> errors, Matrix<const int32_t> ids, double* sums,
                const KernelStream& on);

}  // namespace braid::kernels::cuda

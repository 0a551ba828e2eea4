// Made-up numbers on the GPU: bit for bit the CPU's. T: float, bf16.
#pragma once

#include <cuda_runtime_api.h>

#include "kernels/cuda/matrix.h"
#include "kernels/fill/fill_desc.h"

namespace braid::kernels::cuda {

// out [rows, cols].
template <typename T>
void fill_uniform(const UniformDesc& desc, int64_t rows, int64_t cols, Matrix<T> out,
                  cudaStream_t stream);

}  // namespace braid::kernels::cuda

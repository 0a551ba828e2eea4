// Rotary position embedding on the GPU: bit for bit the CPU's rotation; the table's cosines may
// differ from the CPU's in the last bit where the two double-precision libraries do.
#pragma once

#include <cuda_runtime_api.h>

#include "kernels/cuda/kernel_stream.h"
#include "kernels/cuda/matrix.h"
#include "kernels/rotary/rotary_desc.h"

namespace braid::kernels::cuda {

// positions [rows]; inverse_frequencies [dims / 2]; table [rows, dims].
void rotary_table(const RotaryTableDesc& desc, int64_t rows, int64_t dims, const int32_t* positions,
                  const float* inverse_frequencies, Matrix<float> table, const KernelStream& on);

// x [rows, cols], cols a multiple of head_dim; table [rows, dims]. T: float, bf16.
template <typename T>
void rotary(const RotaryDesc& desc, int64_t rows, int64_t cols, Matrix<const float> table,
            Matrix<T> x, const KernelStream& on);

}  // namespace braid::kernels::cuda

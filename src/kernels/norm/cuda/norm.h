// RMSNorm on the GPU, for storage types float and bf16. x and y may be the same memory.
#pragma once

#include <cuda_runtime_api.h>

#include "kernels/cuda/kernel_stream.h"
#include "kernels/cuda/matrix.h"
#include "kernels/norm/norm_desc.h"

namespace braid::kernels::cuda {

// x, y [rows, cols]; w [group or cols]. Squares are summed in an order that depends on the group's
// size alone: row-invariant, but other last bits than the CPU's.
template <typename T>
void rms_norm(const RmsNormDesc& desc, const Rows& rows, int64_t cols, Matrix<const T> x,
              const T* w, Matrix<T> y, const KernelStream& on);

}  // namespace braid::kernels::cuda

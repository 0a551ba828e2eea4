// RMSNorm on the CPU, for storage types float and bf16. x and y may be the same memory.
#pragma once

#include "kernels/matrix.h"
#include "kernels/norm/norm_desc.h"

namespace braid::kernels::cpu {

// x, y [rows, cols]; w [group or cols].
template <typename T>
void rms_norm(const RmsNormDesc& desc, int64_t rows, int64_t cols, Matrix<const T> x, const T* w,
              Matrix<T> y);

}  // namespace braid::kernels::cpu

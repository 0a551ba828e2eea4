// RMSNorm on the GPU, for storage types float and bf16. x and y may be the same memory.
#pragma once

#include "kernels/cuda/kernel_stream.h"
#include "kernels/cuda/matrix.h"
#include "kernels/norm/norm_desc.h"

namespace braid::kernels::cuda {

// x, y [rows, cols]; w [group or cols]. Squares are summed in an order that depends on the group's
// size alone: row-invariant, but other last bits than the CPU's.
template <typename T>
void rms_norm(const RmsNormDesc& desc, const Rows& rows, int64_t cols, Matrix<const T> x,
              const T* w, Matrix<T> y, const KernelStream& on);

// All [rows, cols]. sum and y have the bits of add() and then rms_norm(); each row is read once.
// sum may be a or b, y may be either of them but not sum.
template <typename T>
void add_rms_norm(const AddRmsNormDesc& desc, const Rows& rows, int64_t cols, Matrix<const T> a,
                  Matrix<const T> b, const T* w, Matrix<T> sum, Matrix<T> y,
                  const KernelStream& on);

}  // namespace braid::kernels::cuda

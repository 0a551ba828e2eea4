// Rotary position embedding on the CPU.
#pragma once

#include "kernels/matrix.h"
#include "kernels/rotary/rotary_desc.h"

namespace braid::kernels::cpu {

// positions [rows]; inverse_frequencies [dims / 2]; table [rows, dims].
void rotary_table(const RotaryTableDesc& desc, int64_t rows, int64_t dims, const int32_t* positions,
                  const float* inverse_frequencies, Matrix<float> table);

// x [rows, cols], cols a multiple of head_dim; table [rows, dims].
template <typename T>
void rotary(const RotaryDesc& desc, int64_t rows, int64_t cols, Matrix<const float> table,
            Matrix<T> x);

}  // namespace braid::kernels::cpu

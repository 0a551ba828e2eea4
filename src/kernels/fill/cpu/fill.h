// Made-up numbers on the CPU.
#pragma once

#include "kernels/fill/fill_desc.h"
#include "kernels/gemm/cpu/gemm.h"

namespace braid::kernels::cpu {

// out [rows, cols]. T: float, bf16.
template <typename T>
void fill_uniform(const UniformDesc& desc, int64_t rows, int64_t cols, Matrix<T> out);

}  // namespace braid::kernels::cpu

// GEMM on the CPU, for storage types float and bf16. Row-invariant: every output element is summed
// in one fixed order, whatever M.
#pragma once

#include "kernels/gemm/gemm_desc.h"
#include "kernels/matrix.h"

namespace braid::kernels::cpu {

// y [m, n or n / 2] = epilogue(x [m, k] · w [n, k]ᵀ + bias [n]); bias may be null.
template <typename X, typename W, typename Y>
void gemm(const GemmDesc& desc, int64_t m, int64_t n, int64_t k, Matrix<const X> x,
          Matrix<const W> w, const W* bias, Matrix<Y> y);

// Rows [offsets[s], offsets[s + 1]) of y from rows source[·] of x (source null: the same rows).
template <typename X, typename W, typename Y>
void grouped_gemm(const GroupedGemmDesc& desc, int64_t n, int64_t k, Matrix<const X> x,
                  const int32_t* source, const int32_t* offsets, Matrix<const W> w, Matrix<Y> y);

}  // namespace braid::kernels::cpu

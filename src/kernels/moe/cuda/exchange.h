// The order of rows for other ranks, and the sum of what comes back, on the GPU: bit for bit what
// the CPU gives for the same operands.
#pragma once

#include <cuda_runtime_api.h>

#include "kernels/cuda/kernel_stream.h"
#include "kernels/cuda/matrix.h"
#include "kernels/moe/exchange_desc.h"

namespace braid::kernels::cuda {

inline constexpr int32_t kMaxExchangeRanks = 32;

// ids [rows, top_k], counts [ranks], source [most_sends], places [rows, ranks]. Ranks ≤
// kMaxExchangeRanks.
void rank_order(const RankOrderDesc& desc, int64_t rows, int64_t top_k, Matrix<const int32_t> ids,
                int32_t* counts, int32_t* source, Matrix<int32_t> places, const KernelStream& on);

// from [·, cols], places [rows, ranks], out [rows, cols]. T: float, bf16.
template <typename T>
void merge_ranks(int64_t rows, int64_t cols, int64_t ranks, Matrix<const T> from,
                 Matrix<const int32_t> places, Matrix<T> out, const KernelStream& on);

}  // namespace braid::kernels::cuda

// The order of rows for other ranks, and the sum of what comes back, on the CPU.
#pragma once

#include "kernels/matrix.h"
#include "kernels/moe/exchange_desc.h"

namespace braid::kernels::cpu {

// ids [rows, top_k], counts [ranks], source [most_sends], places [rows, ranks].
void rank_order(const RankOrderDesc& desc, int64_t rows, int64_t top_k, Matrix<const int32_t> ids,
                int32_t* counts, int32_t* source, Matrix<int32_t> places);

// from [·, cols], places [rows, ranks], out [rows, cols].
template <typename T>
void merge_ranks(int64_t rows, int64_t cols, int64_t ranks, Matrix<const T> from,
                 Matrix<const int32_t> places, Matrix<T> out);

}  // namespace braid::kernels::cpu

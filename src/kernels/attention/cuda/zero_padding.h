// Rows of padding, which FlashInfer's kernel doesn't know.
#pragma once

#include "kernels/attention/paged_rows.h"
#include "kernels/cuda/kernel_stream.h"
#include "kernels/cuda/matrix.h"

namespace braid::kernels::cuda {

// Zeros the rows of out [rows, cols] that are padding.
void zero_padding(const PagedRows& rows, int64_t cols, Matrix<bf16> out, const KernelStream& on);

}  // namespace braid::kernels::cuda

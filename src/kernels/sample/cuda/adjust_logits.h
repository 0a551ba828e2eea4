// Biases and penalties on the GPU, by the rules of AdjustLogitsDesc: the CPU's bits.
#pragma once

#include <cuda_runtime_api.h>

#include "kernels/cuda/matrix.h"
#include "kernels/sample/adjust_args.h"

namespace braid::kernels::cuda {

void adjust_logits(const AdjustLogitsDesc& desc, const Rows& rows, const AdjustArgs& args,
                   cudaStream_t stream);

}  // namespace braid::kernels::cuda

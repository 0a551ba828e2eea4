// Biases and penalties on the GPU, by the rules of AdjustLogitsDesc: the CPU's bits.
#pragma once

#include "kernels/cuda/kernel_stream.h"
#include "kernels/cuda/matrix.h"
#include "kernels/sample/adjust_args.h"

namespace braid::kernels::cuda {

void adjust_logits(const AdjustLogitsDesc& desc, const Rows& rows, const AdjustArgs& args,
                   const KernelStream& on);

}  // namespace braid::kernels::cuda

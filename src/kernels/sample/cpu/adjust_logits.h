// Biases and penalties on the CPU.
#pragma once

#include "kernels/sample/adjust_args.h"

namespace braid::kernels::cpu {

int64_t adjust_scratch_bytes(int64_t vocab_size);

// By the rules of AdjustLogitsDesc. Ids outside of the vocabulary are passed over.
void adjust_logits(const AdjustLogitsDesc& desc, int64_t rows, const AdjustArgs& args,
                   std::byte* scratch);

}  // namespace braid::kernels::cpu

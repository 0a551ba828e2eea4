// The one kernel of decode_attention().
#pragma once

#include "kernels/attention/cuda/decode_attention.h"

namespace braid::kernels::cuda {

int64_t sm90_decode_scratch_bytes(const DecodeAttentionDesc& desc, int64_t rows);

void sm90_decode_attention(const DecodeAttentionDesc& desc, const DecodeAttentionArgs& args,
                           const KernelStream& stream);

}  // namespace braid::kernels::cuda

// A layer's attention in decode, from the product of q, k and v on.
#pragma once

#include "kernels/attention/attention_desc.h"
#include "kernels/attention/decode_plan.h"
#include "kernels/rotary/rotary_desc.h"

namespace braid::kernels {

// For every row of qkv [T, q | k | v]: norms of the heads of q and k (where there are weights for
// them), rotary embedding of q and k, the write of k and v to cache row kv_slots[t], and attention.
// Each step is rounded as by RmsNormDesc, RotaryDesc, KvWriteDesc and AttentionDesc. No two rows
// are of one sequence. Rows of sequence −1 (padding) give zeros.
struct DecodeAttentionDesc {
  AttentionDesc attention;
  RotaryDesc rotary;
  float eps = 1e-6f;
};

}  // namespace braid::kernels

// fuse_decode_attention: what is between the product of q, k and v and attention's result as one
// op.
#pragma once

#include "passes/pass.h"
#include "passes/switch.h"

namespace braid::passes {

struct FuseAttentionOptions {
  Switch mode = Switch::automatic;
};

// Rewrites grouped-query attention in steps that have decode rows alone:
//
//   before    [rms_norm q · rms_norm k ·] rotary · kv_write · attention
//   after     decode_attention
//
// Where no attention is left that needs it, the step's attention_plan makes room for a decode_plan.
// The CPU computes the same bits. On a GPU queries, keys and the cache are the same bits too; sums
// over positions are made in an order that depends on a row's length alone, but is not attention's,
// and of weights that are rounded to bf16: the results differ within 4e-3 of a row's norm. auto:
// on.
Result<flow::Program> fuse_decode_attention(flow::Program program,
                                            const FuseAttentionOptions& options,
                                            const PassContext& context);

extern const Pass kFuseDecodeAttention;

}  // namespace braid::passes

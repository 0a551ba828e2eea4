// fuse_norm: norms and sums of rows as parts of the ops beside them.
#pragma once

#include "passes/pass.h"
#include "passes/switch.h"

namespace braid::passes {

struct FuseNormOptions {
  Switch mode = Switch::automatic;
};

// Rewrites, in this order, as far as no collective and no other reader is in between:
//
//   before                      after
//   gemm · add                  gemm with the other term as its residual
//   rms_norm · gemm             gemm with the norm's weight
//   add · rms_norm              add_rms_norm
//
// All roundings stay where they were, so that no bit changes. auto: the first two in steps of at
// most kFewRows rows, where a product reads so little of x that it can normalise it anew in every
// block; the third always.
Result<flow::Program> fuse_norm(flow::Program program, const FuseNormOptions& options,
                                const PassContext& context);

inline constexpr int64_t kFewRows = 16;

extern const Pass kFuseNorm;

}  // namespace braid::passes

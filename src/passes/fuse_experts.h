// fuse_experts: the experts' down product, its combination and what is added to that as one op.
#pragma once

#include "passes/pass.h"
#include "passes/switch.h"

namespace braid::passes {

struct FuseExpertsOptions {
  Switch mode = Switch::automatic;
};

// Rewrites every layer's end of the routed experts:
//
//   before    grouped_gemm down · combine · add shared expert · add residual
//   after     experts_down
//
// The sums behind the combination are taken in as far as they stand: none where a collective is in
// between or ranks sum chunks of it, and not the shared expert's where that runs beside the experts
// on another lane. All roundings stay where they were, so that no bit changes. With few rows the
// GPU makes one kernel of it, in which nothing is written but the result. auto: on.
Result<flow::Program> fuse_experts(flow::Program program, const FuseExpertsOptions& options,
                                   const PassContext& context);

extern const Pass kFuseExperts;

}  // namespace braid::passes

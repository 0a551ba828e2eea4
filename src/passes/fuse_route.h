// fuse_route: from the residual stream to the lists of the experts' rows in one op.
#pragma once

#include "passes/pass.h"
#include "passes/switch.h"

namespace braid::passes {

struct FuseRouteOptions {
  Switch mode = Switch::automatic;
};

// Rewrites every layer with experts whose rows are the same on all ranks:
//
//   before    rms_norm or add_rms_norm · gemm router · route · permute
//   after     route_experts
//
// On the CPU no bit changes. On the GPU the router's products are added in another order; all that
// follows is exact for the logits that come out. auto: in steps of at most kMaxRouteRows rows,
// which the GPU's one kernel takes.
Result<flow::Program> fuse_route(flow::Program program, const FuseRouteOptions& options,
                                 const PassContext& context);

inline constexpr int64_t kMaxRouteRows = 16;

extern const Pass kFuseRoute;

}  // namespace braid::passes

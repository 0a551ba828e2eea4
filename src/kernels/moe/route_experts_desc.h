// All that stands between the residual stream and the experts, in one op: the norm of the rows,
// the router's logits, which experts they choose, and the order of the choices by slot.
#pragma once

#include "kernels/gemm/gemm_desc.h"
#include "kernels/moe/moe_desc.h"
#include "kernels/norm/norm_desc.h"

namespace braid::kernels {

// x [T, H] (+ addend) → sum, normed = rms_norm(sum), logits = normed · routerᵀ in float32, ids and
// weights as route() makes them of these, offsets, source and places as permute() makes them of the
// ids. Each part has the Desc that it has as an op of its own.
struct RouteExpertsDesc {
  AddRmsNormDesc norm;
  GemmDesc router;
  RouteDesc route;
  PermuteDesc permute;
};

}  // namespace braid::kernels

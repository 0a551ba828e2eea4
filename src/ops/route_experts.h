// All between the residual stream and the experts as one op, which passes::fuse_route makes of the
// ops that layers write.
#pragma once

#include "kernels/moe/route_experts_desc.h"
#include "ops/builder.h"

namespace braid::ops {

using kernels::RouteExpertsDesc;

// x [T, H], norm_weight [1, H], router [E, H] → sum (x + addend; absent without addend), normed
// [T, H], and what gemm, route and permute write of these.
struct RouteExpertsOperand {
  enum : size_t {
    x,
    addend,
    norm_weight,
    router,
    bias,
    kv_slots,
    forced,
    popularity,
    table,
    sum,
    normed,
    logits,
    ids,
    weights,
    heat,
    offsets,
    source,
    places,
    num_operands,
  };
};

}  // namespace braid::ops

template <>
const braid::flow::KindInfo& braid::flow::kind_of<braid::kernels::RouteExpertsDesc>();

// Routing, dispatch, permutation and combination of a MoE layer.
#pragma once

#include "kernels/moe/moe_desc.h"
#include "ops/gemm.h"
#include "ops/rank_rows.h"

namespace braid::ops {

using kernels::RouteDesc;

struct Routing {
  Value ids;      // i32 [T, K]; −1: padding
  Value weights;  // f32 [T, K]
};

// Optional operands of route().
struct RouteInputs {
  Value bias;        // f32 [1, E]
  Value forced;      // i32 [T, K]
  Value popularity;  // f32 [1, E], cumulative
  // Where ids and weights go when they are to outlive the step; absent: step buffers.
  Routing into;
};

// Place of the counters among the operands of a route op: u64 [2, E], or absent. route() leaves
// them out; passes::count_heat puts them in.
inline constexpr size_t kRouteHeat = 7;

// logits f32 [T, E], kv_slots i32 [T, 1] (a row is real iff its slot ≥ 0) → Routing.
Routing route(Builder& b, Value logits, Value kv_slots, const RouteDesc& desc,
              const RouteInputs& inputs = {});

// Rows as the experts' mesh sees them.
struct Dispatched {
  Value rows;       // [T, H]
  Routing routing;  // of these rows
};

// The routed experts that this rank holds, in slots 0 … count − 1. Ranks along moe_ep hold
// different ones, ranks along moe_tp columns of the same.
struct ExpertSlots {
  int32_t first_expert = 0;
  int32_t count = 0;
};

// Attention mesh → MoE mesh. Rows that every rank of the MoE mesh holds already are only renamed;
// rows that differ along dp are gathered.
Dispatched dispatch(Builder& b, Value x, const Routing& routing, const RankRows& ranks = {});

// Orders the choices by slot, those of experts that are elsewhere left out; `places` tells
// combine() where each went.
struct Permuted {
  Grouped grouped;
  Value places;   // i32 [T, K]
  Value weights;  // f32 [T, K]
};
Permuted permute(Builder& b, const Dispatched& in, const ExpertSlots& slots);

// Σ_k weights[t, k] · grouped[places[t, k]] over the choices that are here, in the order of k →
// [T, H]; a Partial where the experts are spread over ranks.
Value combine(Builder& b, const Grouped& grouped, const Permuted& in);

}  // namespace braid::ops

template <>
const braid::flow::KindInfo& braid::flow::kind_of<braid::kernels::RouteDesc>();
template <>
const braid::flow::KindInfo& braid::flow::kind_of<braid::kernels::PermuteDesc>();
template <>
const braid::flow::KindInfo& braid::flow::kind_of<braid::kernels::CombineDesc>();

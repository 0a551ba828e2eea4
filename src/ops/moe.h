// Routing, dispatch, permutation and combination of a MoE layer.
#pragma once

#include "kernels/moe/moe_desc.h"
#include "ops/exchange.h"
#include "ops/gemm.h"

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

// `heat` are the counters u64 [2, E], or absent: route() leaves them out, and passes::count_heat
// puts them in.
struct RouteOperand {
  enum : size_t {
    logits,
    bias,
    kv_slots,
    forced,
    popularity,
    ids,
    weights,
    heat,
    num_operands,
  };
};

// logits f32 [T, E], kv_slots i32 [T, 1] (a row is real iff its slot ≥ 0) → Routing.
Routing route(Builder& b, Value logits, Value kv_slots, const RouteDesc& desc,
              const RouteInputs& inputs = {});

// Rows as the experts' mesh sees them.
struct Dispatched {
  Value rows;       // [T, H]
  Routing routing;  // of these rows
  SentRows way_back;
};

// Which of the slots of all ranks along moe_ep this rank has; ranks along moe_tp hold columns of
// the same experts.
struct ExpertSlots {
  int32_t first = 0;
  int32_t count = 0;
};

// Attention mesh → MoE mesh. Rows that every rank of the MoE mesh holds already are only renamed;
// rows that differ along dp are gathered, or sent to the ranks of their experts, as `ranks` says.
Dispatched dispatch(Builder& b, Value x, const Routing& routing, const RankRows& ranks = {},
                    const ExpertSlots& slots = {});

struct PermuteOperand {
  enum : size_t { ids, table, offsets, source, places, num_operands };
};

// Orders the choices by slot and leaves out those of other ranks' experts; `places` tells combine()
// where each went. `table` i32 [E, R], the same on all ranks: the slots of every expert's replicas,
// −1 behind the last; row t goes to replica t mod their number. Absent: expert e lies in slot e.
struct Permuted {
  Grouped grouped;
  Value places;   // i32 [T, K]
  Value weights;  // f32 [T, K]
  SentRows way_back;
};
Permuted permute(Builder& b, const Dispatched& in, const ExpertSlots& slots, Value table = {});

struct CombineOperand {
  enum : size_t { grouped, places, weights, out, num_operands };
};

// Σ_k weights[t, k] · grouped[places[t, k]] over the choices that are here, in the order of k →
// [T, H]; a Partial where the experts are spread over ranks which have the same rows. Rows that
// were sent to this rank go back where they came from, and are whole there.
Value combine(Builder& b, const Grouped& grouped, const Permuted& in);

// A down product, its combination and the additions behind it, as passes::fuse_experts puts them
// into one op.
struct ExpertsDownOperand {
  enum : size_t {
    x,
    offsets,
    weight,
    places,
    weights,
    shared,
    residual,
    out,
    num_operands,
  };
};

}  // namespace braid::ops

template <>
const braid::flow::KindInfo& braid::flow::kind_of<braid::kernels::RouteDesc>();
template <>
const braid::flow::KindInfo& braid::flow::kind_of<braid::kernels::PermuteDesc>();
template <>
const braid::flow::KindInfo& braid::flow::kind_of<braid::kernels::CombineDesc>();
template <>
const braid::flow::KindInfo& braid::flow::kind_of<braid::kernels::ExpertsDownDesc>();

#include "layers/mlp.h"

#include <algorithm>

#include "ops/rows.h"

namespace braid::layers {

using flow::Role;

Value mlp(Builder& b, const MlpWeights& w, Value x) {
  const Value h = ops::gemm(b, x, w.gate_up, b.format(x), "mlp_hidden", ops::Epilogue::swiglu);
  return ops::gemm(b, h, w.down, b.format(x), "mlp_out");
}

Value moe(Builder& b, const MoeWeights& w, const MoeDesc& d, const StepRows& rows, Value x,
          MoeProbe* probe) {
  const ops::Routing routing = ops::scope(b, Role::router, [&] {
    const Value logits = ops::gemm(b, x, {.weight = w.router}, Format::f32, "router_logits");
    if (probe != nullptr) probe->logits = logits;
    return ops::route(b, logits, rows.paged.kv_slots, d.route, w.route);
  });
  // Stands before the shared expert, which can then run while rows are on their way.
  const ops::Dispatched in = ops::scope(
      b, Role::experts, [&] { return ops::dispatch(b, x, routing, rows.ranks, d.slots); });
  Value shared;
  if (w.shared) shared = ops::scope(b, Role::shared_expert, [&] { return mlp(b, *w.shared, x); });
  const Value routed = ops::scope(b, Role::experts, [&] {
    const ops::Permuted permuted = ops::permute(b, in, d.slots, w.table);
    const int64_t capacity = b.num_rows(in.rows) * std::min<int32_t>(d.route.top_k, d.slots.count);
    const ops::Grouped h = ops::grouped_gemm(b, permuted.grouped, w.gate_up, capacity,
                                             "expert_hidden", ops::Epilogue::swiglu);
    return ops::combine(b, ops::grouped_gemm(b, h, w.down, capacity, "expert_out"), permuted);
  });
  return ops::scope(b, Role::residual, [&] {
    if (!shared.present()) {
      return ops::sum_to(b, {routed}, b.placement(x), "moe_out", rows.ranks);
    }
    return ops::sum_to(b, {routed, shared}, b.placement(x), "moe_out", rows.ranks);
  });
}

}  // namespace braid::layers

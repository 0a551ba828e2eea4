// Feed-forward blocks: the dense MLP, and the Mixture of Experts.
#pragma once

#include <optional>

#include "layers/attention.h"
#include "ops/moe.h"

namespace braid::layers {

// down(silu(gate(x)) · up(x)); the rows of gate_up alternate gate and up.
struct MlpWeights {
  Linear gate_up;  // [2 · I, H]
  Linear down;     // [H, I]
};

// x [T, H] → [T, H]; a Partial where the width I is split.
Value mlp(Builder& b, const MlpWeights& w, Value x);

// This rank's routed experts lie in the slots of one pool.
struct MoeWeights {
  Value router;  // [E, H]
  ops::RouteInputs route;
  Value gate_up;  // [slots · 2 · I, H], I: the rank's columns of an expert's width
  Value down;     // [slots · H, I]
  Value table;    // i32 [E, R], as permute() takes it; absent: slot and expert are the same
  std::optional<MlpWeights> shared;
};

struct MoeDesc {
  ops::RouteDesc route;
  ops::ExpertSlots slots;  // of this rank
};

// What the router computed, for probes and measurements.
struct MoeProbe {
  Value logits;  // f32 [T, E]
};

// y = Σ_k w_k · expert_k(x) + shared(x).  x, y: [T, H], one placement.
Value moe(Builder& b, const MoeWeights& w, const MoeDesc& d, const StepRows& rows, Value x,
          MoeProbe* probe = nullptr);

}  // namespace braid::layers

// Attention blocks: normalised hidden state in, what is added to the residual stream out.
#pragma once

#include <variant>

#include "layers/step_inputs.h"
#include "ops/gemm.h"
#include "ops/rotary.h"

namespace braid::layers {

using ops::Builder;
using ops::Linear;

// Grouped-query attention. Widths: q num_heads · head_dim, k and v num_kv_heads · head_dim.
struct GqaWeights {
  Linear qkv;    // rows q | k | v
  Value q_norm;  // [1, head_dim], or absent
  Value k_norm;
  Linear o;
  Value cache;  // [slots, k | v]
};

struct GqaDesc {
  ops::AttentionDesc attention;
  ops::RotaryDesc rotary;
  float eps = 1e-6f;
};

// Makes the step's plan for attention of this Desc, if it isn't there yet. Before the layers.
void plan_attention(Builder& b, const GqaDesc& d, StepRows& rows);

// x [T, H] → [T, H].
Value gqa(Builder& b, const GqaWeights& w, const GqaDesc& d, const StepRows& rows, Value x);

// Multi-head latent attention (arXiv 2405.04434).
struct MlaWeights {
  Linear q_a;       // [q_lora_rank, H]; weight absent: q_b takes x itself
  Value q_a_norm;   // [1, q_lora_rank]
  Linear q_b;       // [heads · (nope + rope), q_lora_rank or H]
  Linear kv_a;      // [kv_lora_rank + rope, H]
  Value kv_a_norm;  // [1, kv_lora_rank]
  Value kv_b;       // [heads · (nope + v), kv_lora_rank]
  Linear o;
  Value cache;  // [slots, latent | rope]
};

struct MlaLayerDesc {
  ops::MlaDesc attention;
  bool interleaved_rotary = true;
  float eps = 1e-6f;
};

// x [T, H] → [T, H].
Value mla(Builder& b, const MlaWeights& w, const MlaLayerDesc& d, const StepRows& rows, Value x);

}  // namespace braid::layers

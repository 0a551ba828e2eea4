// A pre-norm decoder layer, and the head.
#pragma once

#include "layers/mlp.h"

namespace braid::layers {

struct DecoderWeights {
  Value attention_norm;  // [1, H]
  std::variant<GqaWeights, MlaWeights> attention;
  Value mlp_norm;  // [1, H]
  std::variant<MlpWeights, MoeWeights> mlp;
};

struct DecoderDesc {
  std::variant<GqaDesc, MlaLayerDesc> attention;
  MoeDesc moe;  // used where the weights hold experts
  float eps = 1e-6f;
};

// Residual stream x [T, H] → [T, H]: x + attention(norm(x)), then + mlp(norm(·)).
Value decoder_layer(Builder& b, const DecoderWeights& w, const DecoderDesc& d, const StepRows& rows,
                    Value x, MoeProbe* probe = nullptr);

struct HeadWeights {
  Value norm;      // [1, H]
  Linear lm_head;  // [V, H], or this rank's rows of it, pads behind them
};

struct HeadDesc {
  float eps = 1e-6f;
  int64_t vocab_size = 0;  // V
};

// Logits f32 [R, V] of the rows that get some: lm_head(norm(x[logit_rows])), gathered from the
// ranks that share the vocabulary.
Value head(Builder& b, const HeadWeights& w, const HeadDesc& d, const StepRows& rows, Value x);

}  // namespace braid::layers

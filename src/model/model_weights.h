// The weight buffers of each architecture on one rank, by layer, under the names of published
// checkpoints.
#pragma once

#include <vector>

#include "layout/shards.h"
#include "model/config.h"
#include "model/weight_plan.h"

namespace braid::model {

inline constexpr int32_t kAbsent = -1;

// Resident indices; kAbsent where the architecture has no such weight.
struct AttentionBuffers {
  int32_t norm = kAbsent;
  int32_t qkv = kAbsent, qkv_bias = kAbsent, q_norm = kAbsent, k_norm = kAbsent;  // GQA
  int32_t q_a = kAbsent, q_a_norm = kAbsent, q_b = kAbsent;                       // MLA
  int32_t kv_a = kAbsent, kv_a_norm = kAbsent, kv_b = kAbsent;                    // MLA
  int32_t o = kAbsent;
};

struct MlpBuffers {
  int32_t norm = kAbsent;
  int32_t gate_up = kAbsent, down = kAbsent;  // dense MLP, or the experts' pool
  // The shared experts where they are not the pool's last slots: where ranks have different
  // experts.
  int32_t shared_gate_up = kAbsent, shared_down = kAbsent;
  int32_t router = kAbsent, correction_bias = kAbsent;
};

struct LayerBuffers {
  AttentionBuffers attention;
  MlpBuffers mlp;
};

struct ModelBuffers {
  int32_t embedding = kAbsent;
  std::vector<LayerBuffers> layers;
  int32_t norm = kAbsent;
  int32_t lm_head = kAbsent;  // the embedding where tied
  int32_t inverse_frequencies = kAbsent;
};

// `with_ends`: embedding, final norm and head, too.
// Declares all weights in `format` (the correction bias in f32) and plans their loading: this
// rank's heads, widths, experts and part of the vocabulary; norms, router and what makes an MLA
// latent are whole.
ModelBuffers plan_weights(const ModelConfig& config, Format format, const layout::Shards& shards,
                          bool with_ends, flow::Residents& residents, WeightPlan& plan);

// What decides over which ranks the model can be spread.
layout::ModelSizes layout_sizes(const ModelConfig& config);

}  // namespace braid::model

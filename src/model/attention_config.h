// The two kinds of attention and what config.json says about them.
#pragma once

#include <cstdint>
#include <variant>
#include <vector>

#include "model/config_reader.h"
#include "model/rotary.h"

namespace braid::model {

// Grouped-query attention: q [num_heads, head_dim], k and v [num_kv_heads, head_dim]; o has no
// bias.
struct GqaConfig {
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;  // divides num_heads
  int64_t head_dim = 0;
  bool qkv_bias = false;
  bool qk_norm = false;  // RMSNorm over head_dim per head, before rotary
};

// Multi-head latent attention (arXiv 2405.04434). A head of q and k is nope | rope.
struct MlaConfig {
  int64_t num_heads = 0;
  int64_t q_lora_rank = 0;  // 0: q_proj instead of q_a_proj, q_a_layernorm, q_b_proj
  int64_t kv_lora_rank = 0;
  int64_t qk_nope_head_dim = 0;
  int64_t qk_rope_head_dim = 0;
  int64_t v_head_dim = 0;
};

using AttentionConfig = std::variant<GqaConfig, MlaConfig>;

// What one layer does.
struct LayerAttention {
  AttentionConfig kind;
  int64_t window = 0;  // a token attends to so many last positions, itself included; 0: to all
};

// What of config.json else decides how attention is read.
struct ModelSizes {
  int64_t hidden_size = 0;
  int64_t num_layers = 0;
  int64_t max_positions = 0;
};

struct AttentionParts {
  std::vector<LayerAttention> layers;  // [num_layers]
  RotaryConfig rotary;
  double softmax_scale = 0.0;  // multiplies q·k; YaRN's mscale² is in it
};

// Below: what families read their attention with.

// Heads and their sizes; bias and norm are left to the caller.
Result<GqaConfig> parse_gqa(const ConfigReader& config, int64_t hidden_size);
// This attention in all layers. `partial_rotary` is the share of a head that rotates where
// config.json doesn't say.
Result<AttentionParts> gqa_parts(const ConfigReader& config, const ModelSizes& sizes,
                                 const GqaConfig& gqa, double partial_rotary = 1.0);
// DeepSeek's attention, in all layers.
Result<AttentionParts> mla_parts(const ConfigReader& config, const ModelSizes& sizes);

// Gives layers from `first` on the window that config.json's sliding_window says, or those that
// layer_types lists; a window that holds max_positions is none.
Status parse_windows(const ConfigReader& config, const ModelSizes& sizes, int64_t first,
                     AttentionParts& parts);

// An error where layer_types lists something that is no attention.
Status refuse_other_layers(const ConfigReader& config);

// An error when `key` is true: the layers have no such bias.
Status refuse_bias(const ConfigReader& config, std::string_view key);

}  // namespace braid::model

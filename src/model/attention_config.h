// The two kinds of attention and what config.json says about them.
#pragma once

#include <cstdint>
#include <variant>

#include "model/architecture.h"
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

struct AttentionParts {
  AttentionConfig attention;
  RotaryConfig rotary;
  double softmax_scale = 0.0;  // multiplies q·k; YaRN's mscale² is in it
};

// Refuses a sliding window that would be in use, and biases that the layers don't have.
Result<AttentionParts> parse_attention(const ConfigReader& config, Architecture architecture,
                                       int64_t hidden_size, int64_t num_layers,
                                       int64_t max_positions);

}  // namespace braid::model

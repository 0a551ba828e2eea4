// Qwen3-MoE: Qwen3-30B-A3B, Qwen3-235B-A22B, Qwen3-Coder.
#include <array>

#include "model/family.h"

namespace braid::model::families {
namespace {

constexpr std::string_view kDefaults = R"({
    "vocab_size": 151936, "hidden_size": 2048, "intermediate_size": 6144,
    "num_hidden_layers": 24, "num_attention_heads": 32, "num_key_value_heads": 4,
    "hidden_act": "silu", "max_position_embeddings": 32768, "rms_norm_eps": 1e-06,
    "tie_word_embeddings": false, "rope_theta": 10000.0, "use_sliding_window": false,
    "decoder_sparse_step": 1, "moe_intermediate_size": 768, "num_experts_per_tok": 8,
    "num_experts": 128, "norm_topk_prob": false})";

constexpr std::array<std::string_view, 2> kUnused = {"sliding_window", "max_window_layers"};

Result<AttentionParts> attention(const ConfigReader& config, const ModelSizes& sizes) {
  TRY(refuse_bias(config, "attention_bias"));
  GqaConfig gqa = TRY(parse_gqa(config, sizes.hidden_size));
  gqa.qk_norm = true;
  AttentionParts parts = TRY(gqa_parts(config, sizes, gqa));
  TRY(refuse_other_layers(config));
  if (TRY(config.boolean_or("use_sliding_window", false))) {
    TRY(parse_windows(config, sizes, /*first=*/0, parts));
  }
  return parts;
}

Result<MoeConfig> experts(const ConfigReader& config) {
  MoeConfig moe = TRY(parse_expert_sizes(config, "num_experts"));
  moe.router = {.score = RouterScore::softmax, .normalize = TRY(config.boolean("norm_topk_prob"))};
  TRY(check_choice(config, moe));
  return moe;
}

// Every decoder_sparse_step-th layer, but not those of mlp_only_layers.
Result<std::vector<bool>> moe_layers(const ConfigReader& config, int64_t num_layers) {
  const int64_t step = TRY(config.integer_or("decoder_sparse_step", kLayerRange, 1));
  const auto dense = TRY(config.integers("mlp_only_layers", {0, kLayerRange.high}));
  std::vector<bool> layers(static_cast<size_t>(num_layers));
  for (int64_t i = 0; i < num_layers; ++i) layers[static_cast<size_t>(i)] = (i + 1) % step == 0;
  for (const int64_t i : dense) {
    if (i < num_layers) layers[static_cast<size_t>(i)] = false;
  }
  return layers;
}

}  // namespace

extern const Family qwen3_moe = {.class_name = "Qwen3MoeForCausalLM",
                                 .model_type = "qwen3_moe",
                                 .defaults = kDefaults,
                                 .unused = kUnused,
                                 .attention = attention,
                                 .experts = experts,
                                 .moe_layers = moe_layers};

}  // namespace braid::model::families

// Qwen3-MoE: Qwen3-30B-A3B, Qwen3-235B-A22B, Qwen3-Coder.
#include "model/family.h"

namespace braid::model::families {
namespace {

Result<AttentionParts> attention(const ConfigReader& config, const ModelSizes& sizes) {
  TRY(refuse_bias(config, "attention_bias"));
  GqaConfig gqa = TRY(parse_gqa(config, sizes.hidden_size));
  gqa.qk_norm = true;
  AttentionParts parts = TRY(gqa_parts(config, sizes, gqa));
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
                                 .attention = attention,
                                 .experts = experts,
                                 .moe_layers = moe_layers};

}  // namespace braid::model::families

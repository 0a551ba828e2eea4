// GLM-4.5, GLM-4.5-Air and GLM-4.6.
#include "model/family.h"

namespace braid::model::families {
namespace {

constexpr std::string_view kDefaults = R"({
    "vocab_size": 151552, "hidden_size": 4096, "intermediate_size": 10944,
    "num_hidden_layers": 46, "num_attention_heads": 96, "num_key_value_heads": 8,
    "hidden_act": "silu", "max_position_embeddings": 131072, "rms_norm_eps": 1e-05,
    "tie_word_embeddings": false, "rope_theta": 10000.0, "partial_rotary_factor": 0.5,
    "attention_bias": false, "use_qk_norm": false, "moe_intermediate_size": 1408,
    "num_experts_per_tok": 8, "n_shared_experts": 1, "n_routed_experts": 128,
    "routed_scaling_factor": 1.0, "n_group": 1, "topk_group": 1, "first_k_dense_replace": 1,
    "norm_topk_prob": true})";

Result<AttentionParts> attention(const ConfigReader& config, const ModelSizes& sizes) {
  GqaConfig gqa = TRY(parse_gqa(config, sizes.hidden_size));
  gqa.qkv_bias = TRY(config.boolean_or("attention_bias", false));
  gqa.qk_norm = TRY(config.boolean_or("use_qk_norm", false));
  return gqa_parts(config, sizes, gqa, /*partial_rotary=*/0.5);
}

Result<MoeConfig> experts(const ConfigReader& config) {
  return parse_shared_moe(config, parse_sigmoid_router);
}

}  // namespace

extern const Family glm4_moe = {.class_name = "Glm4MoeForCausalLM",
                                .model_type = "glm4_moe",
                                .defaults = kDefaults,
                                .attention = attention,
                                .experts = experts,
                                .moe_layers = layers_after_first_dense};

}  // namespace braid::model::families

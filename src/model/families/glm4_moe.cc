// GLM-4.5, GLM-4.5-Air and GLM-4.6.
#include "model/family.h"

namespace braid::model::families {
namespace {

Result<AttentionParts> attention(const ConfigReader& config, const ModelSizes& sizes) {
  GqaConfig gqa = TRY(parse_gqa(config, sizes.hidden_size));
  gqa.qkv_bias = TRY(config.boolean_or("attention_bias", false));
  gqa.qk_norm = TRY(config.boolean_or("use_qk_norm", false));
  return gqa_parts(config, sizes, gqa, /*partial_rotary=*/0.5);
}

Result<MoeConfig> experts(const ConfigReader& config) {
  MoeConfig moe = TRY(parse_expert_sizes(config, "n_routed_experts"));
  moe.num_shared_experts = TRY(parse_shared_experts(config));
  moe.router = TRY(parse_sigmoid_router(config));
  TRY(check_choice(config, moe));
  return moe;
}

}  // namespace

extern const Family glm4_moe = {.class_name = "Glm4MoeForCausalLM",
                                .model_type = "glm4_moe",
                                .attention = attention,
                                .experts = experts,
                                .moe_layers = layers_after_first_dense};

}  // namespace braid::model::families

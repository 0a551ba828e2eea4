// DeepSeek-V3, -R1 and what has their architecture.
#include "model/family.h"

namespace braid::model::families {
namespace {

Result<MoeConfig> experts(const ConfigReader& config) {
  MoeConfig moe = TRY(parse_expert_sizes(config, "n_routed_experts"));
  moe.num_shared_experts = TRY(parse_shared_experts(config));
  moe.router = TRY(parse_sigmoid_router(config));
  TRY(check_choice(config, moe));
  return moe;
}

}  // namespace

extern const Family deepseek_v3 = {.class_name = "DeepseekV3ForCausalLM",
                                   .model_type = "deepseek_v3",
                                   .attention = mla_parts,
                                   .experts = experts,
                                   .moe_layers = layers_after_first_dense};

}  // namespace braid::model::families

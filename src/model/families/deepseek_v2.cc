// DeepSeek-V2, V2-Lite and V2.5.
#include "model/family.h"

namespace braid::model::families {
namespace {

Result<RouterConfig> router(const ConfigReader& config) {
  TRY(expect_text(config, "scoring_func", "softmax"));
  RouterConfig router{.score = RouterScore::softmax, .group_score = GroupScore::max};
  const std::string method = TRY(config.text("topk_method"));
  if (method == "group_limited_greedy") {
    TRY(parse_groups(config, router));
  } else if (method != "greedy") {
    return config
        .error(ErrorKind::unsupported, "braid has no such routing in this architecture",
               "topk_method")
        .remedy("Supported for this architecture: greedy, group_limited_greedy.");
  }
  // The published implementations disagree on what true means; no published model has it.
  if (TRY(config.boolean("norm_topk_prob"))) {
    return config
        .error(ErrorKind::unsupported, "braid has no such routing in this architecture",
               "norm_topk_prob")
        .remedy("Supported for this architecture: false.");
  }
  router.scaling_factor = TRY(parse_scaling_factor(config));
  return router;
}

Result<MoeConfig> experts(const ConfigReader& config) {
  MoeConfig moe = TRY(parse_expert_sizes(config, "n_routed_experts"));
  moe.num_shared_experts = TRY(parse_shared_experts(config));
  moe.router = TRY(router(config));
  TRY(check_choice(config, moe));
  return moe;
}

}  // namespace

extern const Family deepseek_v2 = {.class_name = "DeepseekV2ForCausalLM",
                                   .model_type = "deepseek_v2",
                                   .attention = mla_parts,
                                   .experts = experts,
                                   .moe_layers = layers_after_first_dense};

}  // namespace braid::model::families

// DeepSeek-V2, V2-Lite and V2.5.
#include <array>

#include "model/family.h"

namespace braid::model::families {
namespace {

constexpr std::string_view kDefaults = R"({
    "vocab_size": 102400, "hidden_size": 4096, "intermediate_size": 11008,
    "num_hidden_layers": 32, "num_attention_heads": 32, "hidden_act": "silu",
    "max_position_embeddings": 2048, "rms_norm_eps": 1e-06, "tie_word_embeddings": false,
    "eos_token_id": 2, "rope_theta": 10000.0, "first_k_dense_replace": 0, "kv_lora_rank": 512,
    "q_lora_rank": 1536, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128,
    "n_routed_experts": 64, "n_shared_experts": 2, "moe_intermediate_size": 1407,
    "routed_scaling_factor": 1.0, "topk_method": "greedy", "norm_topk_prob": false})";

constexpr std::array<std::string_view, 5> kUnused = {"head_dim", "num_key_value_heads",
                                                     "qk_head_dim", "n_group", "topk_group"};

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

Result<MoeConfig> experts(const ConfigReader& config) { return parse_shared_moe(config, router); }

}  // namespace

extern const Family deepseek_v2 = {.class_name = "DeepseekV2ForCausalLM",
                                   .model_type = "deepseek_v2",
                                   .defaults = kDefaults,
                                   .unused = kUnused,
                                   .attention = mla_parts,
                                   .experts = experts,
                                   .moe_layers = layers_after_first_dense};

}  // namespace braid::model::families

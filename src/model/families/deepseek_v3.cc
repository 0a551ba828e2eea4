// DeepSeek-V3, -R1 and what has their architecture.
#include <array>

#include "model/family.h"

namespace braid::model::families {
namespace {

constexpr std::string_view kDefaults = R"({
    "vocab_size": 129280, "hidden_size": 7168, "intermediate_size": 18432,
    "num_hidden_layers": 61, "num_attention_heads": 128, "hidden_act": "silu",
    "max_position_embeddings": 4096, "rms_norm_eps": 1e-06, "tie_word_embeddings": false,
    "eos_token_id": 1, "rope_theta": 10000.0, "rope_interleave": true,
    "first_k_dense_replace": 3, "kv_lora_rank": 512, "q_lora_rank": 1536,
    "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128,
    "n_routed_experts": 256, "n_shared_experts": 1, "moe_intermediate_size": 2048,
    "num_experts_per_tok": 8, "n_group": 8, "topk_group": 4, "routed_scaling_factor": 2.5,
    "norm_topk_prob": true})";

constexpr std::array<std::string_view, 3> kUnused = {"head_dim", "num_key_value_heads",
                                                     "qk_head_dim"};

Result<MoeConfig> experts(const ConfigReader& config) {
  return parse_shared_moe(config, parse_sigmoid_router);
}

}  // namespace

extern const Family deepseek_v3 = {.class_name = "DeepseekV3ForCausalLM",
                                   .model_type = "deepseek_v3",
                                   .defaults = kDefaults,
                                   .unused = kUnused,
                                   .attention = mla_parts,
                                   .experts = experts,
                                   .moe_layers = layers_after_first_dense};

}  // namespace braid::model::families

// Configs of the shapes that models were published with, to the authors' knowledge: they exercise
// the parser and are no reference for any model.
#include "model/config.h"
#include "model/testing.h"

namespace braid::model {
namespace {

ModelConfig parse(std::string_view text) {
  const auto config = parse_config(*parse_json(text, "config.json"));
  EXPECT_TRUE(config.ok()) << testing::text_of(config);
  return *config;
}

TEST(PublishedConfigTest, Glm45Air) {
  const ModelConfig config = parse(R"({
    "architectures": ["Glm4MoeForCausalLM"], "attention_bias": true, "eos_token_id": [151329,
    151336, 151338], "head_dim": 128, "hidden_act": "silu", "hidden_size": 4096,
    "partial_rotary_factor": 0.5, "intermediate_size": 10944, "max_position_embeddings": 131072,
    "model_type": "glm4_moe", "moe_intermediate_size": 1408, "norm_topk_prob": true,
    "num_attention_heads": 96, "n_group": 1, "topk_group": 1, "n_routed_experts": 128,
    "n_shared_experts": 1, "routed_scaling_factor": 1.0, "num_experts_per_tok": 8,
    "first_k_dense_replace": 1, "num_hidden_layers": 46, "num_key_value_heads": 8,
    "rms_norm_eps": 1e-05, "rope_scaling": null, "rope_theta": 1000000,
    "num_nextn_predict_layers": 1, "tie_word_embeddings": false, "use_qk_norm": false,
    "vocab_size": 151552})");
  EXPECT_EQ(config.eos_token_ids.size(), 3u);
  EXPECT_EQ(config.rotary.dim, 64);
  EXPECT_EQ(std::get<GqaConfig>(config.attention_of(0)).num_heads, 96);
  EXPECT_FALSE(std::get<GqaConfig>(config.attention_of(0)).qk_norm);
  EXPECT_FALSE(config.is_moe(0));
  EXPECT_TRUE(config.is_moe(45));
}

TEST(PublishedConfigTest, DeepseekV3) {
  const ModelConfig config = parse(R"({
    "architectures": ["DeepseekV3ForCausalLM"], "attention_bias": false, "eos_token_id": 1,
    "first_k_dense_replace": 3, "hidden_act": "silu", "hidden_size": 7168,
    "intermediate_size": 18432, "kv_lora_rank": 512, "max_position_embeddings": 163840,
    "moe_intermediate_size": 2048, "moe_layer_freq": 1, "n_group": 8, "n_routed_experts": 256,
    "n_shared_experts": 1, "norm_topk_prob": true, "num_attention_heads": 128,
    "num_experts_per_tok": 8, "num_hidden_layers": 61, "num_key_value_heads": 128,
    "num_nextn_predict_layers": 1, "q_lora_rank": 1536, "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64, "quantization_config": {"activation_scheme": "dynamic",
    "fmt": "e4m3", "quant_method": "fp8", "weight_block_size": [128, 128]},
    "rms_norm_eps": 1e-06, "rope_scaling": {"beta_fast": 32, "beta_slow": 1, "factor": 40,
    "mscale": 1.0, "mscale_all_dim": 1.0, "original_max_position_embeddings": 4096,
    "type": "yarn"}, "rope_theta": 10000, "routed_scaling_factor": 2.5,
    "scoring_func": "sigmoid", "tie_word_embeddings": false, "topk_group": 4,
    "topk_method": "noaux_tc", "v_head_dim": 128, "vocab_size": 129280})");
  EXPECT_EQ(std::get<MlaConfig>(config.attention_of(0)).q_lora_rank, 1536);
  EXPECT_EQ(cos_sin_multiplier(config.rotary), 1.0f);
  EXPECT_EQ(config.moe->router.n_group, 8);
  EXPECT_EQ(config.moe->router.topk_group, 4);
  EXPECT_FALSE(config.is_moe(2));
  EXPECT_TRUE(config.is_moe(3));
  EXPECT_EQ(config.quantization.kind, QuantKind::fp8_block);
}

TEST(PublishedConfigTest, DeepseekV2Lite) {
  const ModelConfig config = parse(R"({
    "architectures": ["DeepseekV2ForCausalLM"], "attention_bias": false, "eos_token_id": 100001,
    "first_k_dense_replace": 1, "hidden_act": "silu", "hidden_size": 2048,
    "intermediate_size": 10944, "kv_lora_rank": 512, "max_position_embeddings": 163840,
    "moe_intermediate_size": 1408, "moe_layer_freq": 1, "n_group": 1, "n_routed_experts": 64,
    "n_shared_experts": 2, "norm_topk_prob": false, "num_attention_heads": 16,
    "num_experts_per_tok": 6, "num_hidden_layers": 27, "num_key_value_heads": 16,
    "q_lora_rank": null, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "rms_norm_eps": 1e-06,
    "rope_scaling": {"beta_fast": 32, "beta_slow": 1, "factor": 40, "mscale": 0.707,
    "mscale_all_dim": 0.707, "original_max_position_embeddings": 4096, "type": "yarn"},
    "rope_theta": 10000, "routed_scaling_factor": 1.0, "scoring_func": "softmax",
    "tie_word_embeddings": false, "topk_group": 1, "topk_method": "greedy", "v_head_dim": 128,
    "vocab_size": 102400})");
  EXPECT_EQ(std::get<MlaConfig>(config.attention_of(0)).q_lora_rank, 0);
  EXPECT_EQ(config.moe->router.n_group, 1);
  EXPECT_EQ(config.moe->num_shared_experts, 2);
  EXPECT_NEAR(config.softmax_scale, 0.11472138679292611, 1e-15);
}

TEST(PublishedConfigTest, Qwen3Moe30B) {
  const ModelConfig config = parse(R"({
    "architectures": ["Qwen3MoeForCausalLM"], "attention_bias": false, "decoder_sparse_step": 1,
    "eos_token_id": 151645, "head_dim": 128, "hidden_act": "silu", "hidden_size": 2048,
    "intermediate_size": 6144, "max_position_embeddings": 40960, "max_window_layers": 48,
    "mlp_only_layers": [], "moe_intermediate_size": 768, "norm_topk_prob": true,
    "num_attention_heads": 32, "num_experts": 128, "num_experts_per_tok": 8,
    "num_hidden_layers": 48, "num_key_value_heads": 4, "rms_norm_eps": 1e-06,
    "rope_scaling": null, "rope_theta": 1000000.0, "sliding_window": null,
    "tie_word_embeddings": false, "use_sliding_window": false, "vocab_size": 151936})");
  EXPECT_EQ(std::get<GqaConfig>(config.attention_of(0)).num_kv_heads, 4);
  EXPECT_EQ(config.moe->num_experts, 128);
  EXPECT_EQ(config.moe->num_shared_experts, 0);
}

TEST(PublishedConfigTest, Qwen25HalfBillion) {
  const ModelConfig config = parse(R"({
    "architectures": ["Qwen2ForCausalLM"], "eos_token_id": 151645, "hidden_act": "silu",
    "hidden_size": 896, "intermediate_size": 4864, "max_position_embeddings": 32768,
    "max_window_layers": 21, "num_attention_heads": 14, "num_hidden_layers": 24,
    "num_key_value_heads": 2, "rms_norm_eps": 1e-06, "rope_theta": 1000000.0,
    "sliding_window": 32768, "tie_word_embeddings": true, "use_sliding_window": false,
    "vocab_size": 151936})");
  EXPECT_TRUE(config.tie_word_embeddings);
  EXPECT_EQ(std::get<GqaConfig>(config.attention_of(0)).head_dim, 64);
}

TEST(PublishedConfigTest, Mixtral8x7B) {
  const ModelConfig config = parse(R"({
    "architectures": ["MixtralForCausalLM"], "eos_token_id": 2, "hidden_act": "silu",
    "hidden_size": 4096, "intermediate_size": 14336, "max_position_embeddings": 32768,
    "num_attention_heads": 32, "num_experts_per_tok": 2, "num_hidden_layers": 32,
    "num_key_value_heads": 8, "num_local_experts": 8, "rms_norm_eps": 1e-05,
    "rope_theta": 1000000.0, "sliding_window": null, "tie_word_embeddings": false,
    "vocab_size": 32000})");
  EXPECT_EQ(config.moe->expert_width, 14336);
  EXPECT_EQ(std::get<GqaConfig>(config.attention_of(0)).head_dim, 128);
}

}  // namespace
}  // namespace braid::model

// Mixtral 8x7B and 8x22B.
#include "model/family.h"

namespace braid::model::families {
namespace {

constexpr std::string_view kDefaults = R"({
    "vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 14336,
    "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
    "hidden_act": "silu", "max_position_embeddings": 131072, "rms_norm_eps": 1e-05,
    "tie_word_embeddings": false, "eos_token_id": 2, "rope_theta": 1000000.0,
    "num_experts_per_tok": 2, "num_local_experts": 8})";

Result<AttentionParts> attention(const ConfigReader& config, const ModelSizes& sizes) {
  const GqaConfig gqa = TRY(parse_gqa(config, sizes.hidden_size));
  AttentionParts parts = TRY(gqa_parts(config, sizes, gqa));
  TRY(parse_windows(config, sizes, /*first=*/0, parts));
  return parts;
}

Result<MoeConfig> experts(const ConfigReader& config) {
  MoeConfig moe = TRY(parse_expert_sizes(config, "num_local_experts", "intermediate_size"));
  moe.router = {.score = RouterScore::softmax_over_topk};
  TRY(check_choice(config, moe));
  return moe;
}

}  // namespace

extern const Family mixtral = {
    .class_name = "MixtralForCausalLM",
    .model_type = "mixtral",
    .defaults = kDefaults,
    .expert_names = {.block = "block_sparse_moe", .gate = "w1", .up = "w3", .down = "w2"},
    .attention = attention,
    .experts = experts};

}  // namespace braid::model::families

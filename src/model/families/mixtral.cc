// Mixtral 8x7B and 8x22B.
#include "model/family.h"

namespace braid::model::families {
namespace {

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
    .expert_names = {.block = "block_sparse_moe", .gate = "w1", .up = "w3", .down = "w2"},
    .attention = attention,
    .experts = experts};

}  // namespace braid::model::families

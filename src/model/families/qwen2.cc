// Qwen2 and Qwen2.5, dense.
#include "model/family.h"

namespace braid::model::families {
namespace {

Result<AttentionParts> attention(const ConfigReader& config, const ModelSizes& sizes) {
  GqaConfig gqa = TRY(parse_gqa(config, sizes.hidden_size));
  gqa.qkv_bias = true;
  AttentionParts parts = TRY(gqa_parts(config, sizes, gqa));
  if (TRY(config.boolean_or("use_sliding_window", false))) {
    const int64_t first = TRY(config.integer_or("max_window_layers", {0, kLayerRange.high}, 0));
    TRY(parse_windows(config, sizes, first, parts));
  }
  return parts;
}

}  // namespace

extern const Family qwen2 = {
    .class_name = "Qwen2ForCausalLM", .model_type = "qwen2", .attention = attention};

}  // namespace braid::model::families

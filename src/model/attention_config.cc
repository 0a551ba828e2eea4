#include "model/attention_config.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace braid::model {
namespace {

Result<int64_t> parse_head_dim(const ConfigReader& config, int64_t hidden_size, int64_t num_heads) {
  if (config.has("head_dim")) return config.integer("head_dim", kHeadDimRange);
  if (hidden_size % num_heads != 0 || hidden_size / num_heads > kHeadDimRange.high) {
    return config
        .error(ErrorKind::corrupt_data, "hidden_size is no multiple of num_attention_heads",
               "hidden_size")
        .with("num_attention_heads", num_heads)
        .remedy("Give head_dim in config.json.");
  }
  config.leave_out("head_dim", std::to_string(hidden_size / num_heads));
  return hidden_size / num_heads;
}

Result<MlaConfig> parse_mla(const ConfigReader& config) {
  TRY(refuse_bias(config, "attention_bias"));
  MlaConfig mla;
  mla.num_heads = TRY(config.integer("num_attention_heads", kHeadRange));
  mla.q_lora_rank = TRY(config.integer_or("q_lora_rank", kRankRange, 0));
  mla.kv_lora_rank = TRY(config.integer("kv_lora_rank", kRankRange));
  mla.qk_nope_head_dim = TRY(config.integer("qk_nope_head_dim", kHeadDimRange));
  mla.qk_rope_head_dim = TRY(config.integer("qk_rope_head_dim", kHeadDimRange));
  mla.v_head_dim = TRY(config.integer("v_head_dim", kHeadDimRange));
  if (mla.qk_rope_head_dim % 2 != 0) {
    return config.error(ErrorKind::corrupt_data, "the dimensions that rotate must be even",
                        "qk_rope_head_dim");
  }
  return mla;
}

std::vector<LayerAttention> in_all_layers(const AttentionConfig& kind, const ModelSizes& sizes) {
  return std::vector<LayerAttention>(static_cast<size_t>(sizes.num_layers), {.kind = kind});
}

}  // namespace

Result<GqaConfig> parse_gqa(const ConfigReader& config, int64_t hidden_size) {
  GqaConfig gqa;
  gqa.num_heads = TRY(config.integer("num_attention_heads", kHeadRange));
  gqa.num_kv_heads = TRY(config.integer_or("num_key_value_heads", kHeadRange, gqa.num_heads));
  if (gqa.num_heads % gqa.num_kv_heads != 0) {
    return config
        .error(ErrorKind::corrupt_data, "num_key_value_heads does not divide num_attention_heads",
               "num_key_value_heads")
        .with("num_attention_heads", gqa.num_heads);
  }
  gqa.head_dim = TRY(parse_head_dim(config, hidden_size, gqa.num_heads));
  return gqa;
}

Result<AttentionParts> gqa_parts(const ConfigReader& config, const ModelSizes& sizes,
                                 const GqaConfig& gqa, double partial_rotary) {
  AttentionParts parts;
  parts.layers = in_all_layers(gqa, sizes);
  const int64_t dim = TRY(parse_rotary_dim(config, gqa.head_dim, partial_rotary));
  parts.rotary = TRY(parse_rotary(config, dim, /*interleaved=*/false, sizes.max_positions));
  parts.softmax_scale = 1.0 / std::sqrt(static_cast<double>(gqa.head_dim));
  return parts;
}

Result<AttentionParts> mla_parts(const ConfigReader& config, const ModelSizes& sizes) {
  const MlaConfig mla = TRY(parse_mla(config));
  AttentionParts parts;
  parts.layers = in_all_layers(mla, sizes);
  const bool given = config.find("rope_interleave") != nullptr;
  const bool interleaved = !given || TRY(config.boolean("rope_interleave"));
  parts.rotary = TRY(parse_rotary(config, mla.qk_rope_head_dim, interleaved, sizes.max_positions));
  parts.softmax_scale = softmax_scale_multiplier(parts.rotary) /
                        std::sqrt(static_cast<double>(mla.qk_nope_head_dim + mla.qk_rope_head_dim));
  return parts;
}

Status refuse_other_layers(const ConfigReader& config) {
  for (const std::string& type : TRY(config.texts("layer_types"))) {
    if (type == "full_attention" || type == "sliding_attention") continue;
    return config.error(ErrorKind::unsupported, "braid has no such layer", "layer_types")
        .with("type", type)
        .remedy("Supported: full_attention.");
  }
  return {};
}

Status parse_windows(const ConfigReader& config, const ModelSizes& sizes, int64_t first,
                     AttentionParts& parts) {
  if (!config.has("sliding_window")) return {};
  const int64_t window = TRY(config.integer("sliding_window", kPositionRange));
  if (window >= sizes.max_positions) return {};
  const std::vector<std::string> types = TRY(config.texts("layer_types"));
  const bool listed = config.has("layer_types");
  for (size_t i = 0; i < parts.layers.size(); ++i) {
    const bool slides = listed ? i < types.size() && types[i] != "full_attention"
                               : static_cast<int64_t>(i) >= first;
    if (slides) parts.layers[i].window = window;
  }
  return {};
}

Status refuse_bias(const ConfigReader& config, std::string_view key) {
  if (!config.has(key) || !TRY(config.boolean_or(key, false))) return {};
  return config
      .error(ErrorKind::unsupported, "braid has no bias in the attention of this architecture", key)
      .remedy("Use a checkpoint whose attention has no bias.");
}

}  // namespace braid::model

#include "model/attention_config.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace braid::model {
namespace {

bool has_latent_attention(Architecture architecture) {
  return architecture == Architecture::deepseek_v2 || architecture == Architecture::deepseek_v3;
}

// Whether some layer would attend to a window only: newer configs list the layers, older ones give
// the first (qwen2), otherwise all do.
Result<bool> some_layer_slides(const ConfigReader& config, Architecture architecture,
                               int64_t num_layers) {
  if (config.has("layer_types")) {
    const std::vector<std::string> types = TRY(config.texts("layer_types"));
    const auto end = types.begin() + std::min<int64_t>(num_layers, std::ssize(types));
    return std::any_of(types.begin(), end,
                       [](const std::string& type) { return type != "full_attention"; });
  }
  if (architecture != Architecture::qwen2) return true;
  return TRY(config.integer_or("max_window_layers", {0, kLayerRange.high}, 0)) < num_layers;
}

Status refuse_sliding_window(const ConfigReader& config, Architecture architecture,
                             int64_t num_layers, int64_t max_positions) {
  const bool qwen = architecture == Architecture::qwen2 || architecture == Architecture::qwen3_moe;
  if (!qwen && architecture != Architecture::mixtral) return {};  // the others know no window
  if (!config.has("sliding_window")) return {};
  if (qwen && !TRY(config.boolean_or("use_sliding_window", false))) return {};
  const int64_t window = TRY(config.integer("sliding_window", kPositionRange));
  if (window >= max_positions) return {};
  if (!TRY(some_layer_slides(config, architecture, num_layers))) return {};
  return config
      .error(ErrorKind::unsupported, "braid has no attention in a sliding window", "sliding_window")
      .with("max_position_embeddings", max_positions)
      .remedy(fmt::format(
          "Pass --json-model-override-args '{{\"max_position_embeddings\": {}}}' to serve contexts "
          "that fit into the window.",
          window));
}

Status refuse_bias(const ConfigReader& config, std::string_view key) {
  if (!TRY(config.boolean_or(key, false))) return {};
  return config
      .error(ErrorKind::unsupported, "braid has no bias in the attention of this architecture", key)
      .remedy("Use a checkpoint whose attention has no bias.");
}

Result<int64_t> parse_head_dim(const ConfigReader& config, int64_t hidden_size, int64_t num_heads) {
  if (config.has("head_dim")) return config.integer("head_dim", kHeadDimRange);
  if (hidden_size % num_heads != 0 || hidden_size / num_heads > kHeadDimRange.high) {
    return config
        .error(ErrorKind::corrupt_data, "hidden_size is no multiple of num_attention_heads",
               "hidden_size")
        .with("num_attention_heads", num_heads)
        .remedy("Give head_dim in config.json.");
  }
  return hidden_size / num_heads;
}

Result<GqaConfig> parse_gqa(const ConfigReader& config, Architecture architecture,
                            int64_t hidden_size) {
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
  switch (architecture) {
    case Architecture::glm4_moe:
      gqa.qkv_bias = TRY(config.boolean_or("attention_bias", false));
      gqa.qk_norm = TRY(config.boolean_or("use_qk_norm", false));
      break;
    case Architecture::qwen3_moe:
      TRY(refuse_bias(config, "attention_bias"));
      gqa.qk_norm = true;
      break;
    case Architecture::qwen2: gqa.qkv_bias = true; break;
    default: break;
  }
  return gqa;
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

}  // namespace

Result<AttentionParts> parse_attention(const ConfigReader& config, Architecture architecture,
                                       int64_t hidden_size, int64_t num_layers,
                                       int64_t max_positions) {
  TRY(refuse_sliding_window(config, architecture, num_layers, max_positions));
  AttentionParts parts;
  if (has_latent_attention(architecture)) {
    const MlaConfig mla = TRY(parse_mla(config));
    const bool interleaved = TRY(config.boolean_or("rope_interleave", true));
    parts.rotary = TRY(parse_rotary(config, mla.qk_rope_head_dim, interleaved, max_positions));
    parts.softmax_scale =
        softmax_scale_multiplier(parts.rotary) /
        std::sqrt(static_cast<double>(mla.qk_nope_head_dim + mla.qk_rope_head_dim));
    parts.attention = mla;
  } else {
    const GqaConfig gqa = TRY(parse_gqa(config, architecture, hidden_size));
    const double partial = architecture == Architecture::glm4_moe ? 0.5 : 1.0;
    const int64_t dim = TRY(parse_rotary_dim(config, gqa.head_dim, partial));
    parts.rotary = TRY(parse_rotary(config, dim, /*interleaved=*/false, max_positions));
    parts.softmax_scale = 1.0 / std::sqrt(static_cast<double>(gqa.head_dim));
    parts.attention = gqa;
  }
  return parts;
}

}  // namespace braid::model

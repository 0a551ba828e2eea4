// Qwen2 and Qwen2.5, dense.
#include <array>

#include "model/family.h"

namespace braid::model::families {
namespace {

constexpr std::string_view kDefaults = R"({
    "vocab_size": 151936, "hidden_size": 4096, "intermediate_size": 22016,
    "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32,
    "hidden_act": "silu", "max_position_embeddings": 32768, "rms_norm_eps": 1e-06,
    "tie_word_embeddings": false, "rope_theta": 10000.0, "use_sliding_window": false,
    "max_window_layers": 28})";

constexpr std::array<std::string_view, 2> kUnused = {"sliding_window", "max_window_layers"};

Result<AttentionParts> attention(const ConfigReader& config, const ModelSizes& sizes) {
  GqaConfig gqa = TRY(parse_gqa(config, sizes.hidden_size));
  gqa.qkv_bias = true;
  AttentionParts parts = TRY(gqa_parts(config, sizes, gqa));
  TRY(refuse_other_layers(config));
  if (TRY(config.boolean_or("use_sliding_window", false))) {
    const int64_t first = TRY(config.integer_or("max_window_layers", {0, kLayerRange.high}, 0));
    TRY(parse_windows(config, sizes, first, parts));
  }
  return parts;
}

}  // namespace

extern const Family qwen2 = {.class_name = "Qwen2ForCausalLM",
                             .model_type = "qwen2",
                             .defaults = kDefaults,
                             .unused = kUnused,
                             .attention = attention};

}  // namespace braid::model::families

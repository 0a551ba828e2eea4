#include "model/config.h"

#include <filesystem>
#include <utility>

#include "base/json.h"
#include "model/checkpoint.h"
#include "model/config_reader.h"

namespace braid::model {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxFileBytes = int64_t{16} << 20;
constexpr IntRange kTokenRange{0, (int64_t{1} << 31) - 1};

Result<const Family*> parse_family(const ConfigReader& config) {
  const std::vector<std::string> names = TRY(config.texts("architectures"));
  if (names.empty()) {
    return config.error(ErrorKind::corrupt_data, "a key is missing", "architectures");
  }
  return find_family(names.front());
}

Status refuse_unsupported(const ConfigReader& config) {
  if (TRY(config.text_or("hidden_act", "silu")) != "silu") {
    return config
        .error(ErrorKind::unsupported, "braid has no such activation function", "hidden_act")
        .remedy("Supported: silu.");
  }
  if (TRY(config.boolean_or("mlp_bias", false))) {
    return config.error(ErrorKind::unsupported, "braid has no MLP with bias", "mlp_bias")
        .remedy("Use a checkpoint whose MLPs have no bias.");
  }
  return {};
}

Status parse_generation(const ConfigReader& generation, ModelConfig& model) {
  if (generation.has("eos_token_id")) {
    model.eos_token_ids = TRY(generation.integers("eos_token_id", kTokenRange));
  }
  SamplingDefaults& sampling = model.sampling;
  if (generation.has("temperature")) {
    sampling.temperature = TRY(generation.real("temperature", {0.0, 1e3}));
  }
  if (generation.has("top_p")) sampling.top_p = TRY(generation.real("top_p", {0.0, 1.0}));
  if (generation.has("top_k")) {
    const int64_t top_k = TRY(generation.integer("top_k", {-1, kVocabRange.high}));
    sampling.top_k = top_k < 0 ? 0 : top_k;  // both mean all tokens
  }
  if (generation.has("do_sample")) sampling.do_sample = TRY(generation.boolean("do_sample"));
  return {};
}

Result<QuantScheme> parse_scheme(const ConfigReader& config, const Json* hf_quant_config) {
  if (const Json* quantization = config.find("quantization_config")) {
    return parse_quantization(*quantization, "quantization_config");
  }
  if (hf_quant_config != nullptr) {
    return parse_quantization(*hf_quant_config, "hf_quant_config.json");
  }
  return QuantScheme{};
}

Status expect_object(const Json& json, std::string_view source) {
  if (json.is_object()) return {};
  return Error(ErrorKind::corrupt_data, "a JSON object was expected").with("in", source);
}

Result<std::optional<Json>> read_optional(const fs::path& path) {
  std::error_code code;
  if (!fs::exists(path, code)) return std::optional<Json>();
  return std::optional(TRY(read_json_file(path.string(), kMaxFileBytes)));
}

Status apply_override(std::string_view override_json, Json& config) {
  if (override_json.empty()) return {};
  const Result<Json> parsed = parse_json(override_json, "--json-model-override-args");
  if (!parsed.ok() || !parsed->is_object()) {
    return Error(ErrorKind::usage, "--json-model-override-args is no JSON object")
        .with("value", override_json.substr(0, 200))
        .remedy("Pass an object such as '{\"num_hidden_layers\": 4}'.");
  }
  config.update(*parsed);
  return {};
}

}  // namespace

Result<ModelConfig> parse_config(const Json& json, const Json* generation_config,
                                 const Json* hf_quant_config) {
  TRY(expect_object(json, "config.json"));
  const ConfigReader config(json, "config.json");
  ModelConfig model;
  model.family = TRY(parse_family(config));
  TRY(refuse_unsupported(config));
  model.vocab_size = TRY(config.integer("vocab_size", kVocabRange));
  model.hidden_size = TRY(config.integer("hidden_size", kHiddenRange));
  model.num_layers = TRY(config.integer("num_hidden_layers", kLayerRange));
  model.intermediate_size = TRY(config.integer("intermediate_size", kWidthRange));
  model.max_positions = TRY(config.integer("max_position_embeddings", kPositionRange));
  model.rms_norm_eps = TRY(config.real("rms_norm_eps", {1e-12, 0.1}));
  model.tie_word_embeddings = TRY(config.boolean_or("tie_word_embeddings", false));
  model.eos_token_ids = TRY(config.integers("eos_token_id", kTokenRange));

  AttentionParts parts = TRY(parse_attention(
      config, *model.family, {model.hidden_size, model.num_layers, model.max_positions}));
  model.attention = std::move(parts.layers);
  model.rotary = parts.rotary;
  model.softmax_scale = parts.softmax_scale;
  if (model.family->experts != nullptr) model.moe = TRY(model.family->experts(config));
  model.moe_layers = TRY(parse_moe_layers(config, *model.family, model.num_layers));
  model.quantization = TRY(parse_scheme(config, hf_quant_config));
  if (generation_config != nullptr) {
    TRY(expect_object(*generation_config, "generation_config.json"));
    TRY(parse_generation({*generation_config, "generation_config.json"}, model));
  }
  return model;
}

Result<ModelConfig> load_config(const std::string& folder, std::string_view override_json) {
  TRY(check_model_folder(folder));
  std::optional<Json> config = TRY(read_optional(fs::path(folder) / "config.json"));
  if (!config) {
    return Error(ErrorKind::not_found, "the model folder has no config.json")
        .with("folder", folder)
        .remedy("Pass the folder that holds config.json and the .safetensors files.");
  }
  TRY(expect_object(*config, "config.json"));
  TRY(apply_override(override_json, *config));
  const std::optional<Json> generation =
      TRY(read_optional(fs::path(folder) / "generation_config.json"));
  const std::optional<Json> quantization =
      TRY(read_optional(fs::path(folder) / "hf_quant_config.json"));
  return parse_config(*config, generation ? &*generation : nullptr,
                      quantization ? &*quantization : nullptr);
}

}  // namespace braid::model

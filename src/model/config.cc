#include "model/config.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <utility>

#include "base/json.h"
#include "base/json_checks.h"
#include "model/checkpoint.h"
#include "model/config_reader.h"

namespace braid::model {
namespace {

namespace fs = std::filesystem;

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
  if (config.has("mlp_bias") && TRY(config.boolean("mlp_bias"))) {
    return config.error(ErrorKind::unsupported, "braid has no MLP with bias", "mlp_bias")
        .remedy("Use a checkpoint whose MLPs have no bias.");
  }
  return {};
}

Status expect_object(const Json& json, std::string_view source) {
  if (json.is_object()) return {};
  return Error(ErrorKind::corrupt_data, "a JSON object was expected").with("in", source);
}

// From config.json, or else from hf_quant_config.json, whose keys are accounted for here.
Result<QuantScheme> parse_scheme(const ConfigReader& config, const Json* hf_quant_config,
                                 std::vector<Note>& notes) {
  for (const char* key : {"quantization_config", "compression_config"}) {
    const std::optional<ConfigReader> section = TRY(config.object(key));
    if (section) return parse_quantization(*section);
  }
  if (hf_quant_config == nullptr) return QuantScheme{};
  TRY(expect_object(*hf_quant_config, "hf_quant_config.json"));
  const ConfigReader apart(*hf_quant_config, "hf_quant_config.json");
  const QuantScheme scheme = TRY(parse_quantization(apart));
  account(apart, {}, notes);
  return scheme;
}

// The family reads its part of config.json into the model.
Status parse_family_keys(const ConfigReader& config, ModelConfig& model) {
  AttentionParts parts = TRY(parse_attention(
      config, *model.family, {model.hidden_size, model.num_layers, model.max_positions}));
  model.attention = std::move(parts.layers);
  model.rotary = parts.rotary;
  model.softmax_scale = parts.softmax_scale;
  if (model.family->experts != nullptr) model.moe = TRY(model.family->experts(config));
  model.moe_layers = TRY(parse_moe_layers(config, *model.family, model.num_layers));
  if (!config.has("model_type")) return {};
  const std::string type = TRY(config.text("model_type"));
  if (type != model.family->model_type) {
    config.warn(fmt::format("config.json has the model_type {}; braid goes by its architecture, {}",
                            type, model.family->class_name));
  }
  return {};
}

Status parse_generation_file(const Json& json, ModelConfig& model) {
  TRY(expect_object(json, "generation_config.json"));
  const GenerationConfig generation = TRY(parse_generation(json, model.notes));
  model.sampling = generation.sampling;
  for (const int64_t id : generation.eos_token_ids) {
    std::vector<int64_t>& all = model.eos_token_ids;
    if (std::find(all.begin(), all.end(), id) == all.end()) all.push_back(id);
  }
  return {};
}

constexpr int64_t kMaxFileBytes = int64_t{16} << 20;

// The file's content, or nothing where there is none.
Result<std::optional<Json>> read_optional(const fs::path& folder, const std::string& name,
                                          std::vector<Note>& notes) {
  std::error_code code;
  if (!fs::exists(folder / name, code)) return std::optional<Json>();
  const std::string path = (folder / name).string();
  const std::string text = TRY(read_file(path, kMaxFileBytes));
  Json json = TRY(parse_json(text, path));
  for (const std::string& key : duplicate_keys(text)) {
    notes.push_back({true, fmt::format("{} has the key {} twice: the last one counts", name, key)});
  }
  return std::optional(std::move(json));
}

Result<Json> parse_override(std::string_view text, std::vector<Note>& notes) {
  Result<Json> parsed = parse_json(text, "--json-model-override-args");
  if (!parsed.ok() || !parsed->is_object()) {
    return Error(ErrorKind::usage, "--json-model-override-args is no JSON object")
        .with("value", text.substr(0, 200))
        .remedy("Pass an object such as '{\"num_hidden_layers\": 4}'.");
  }
  for (const std::string& key : duplicate_keys(text)) {
    notes.push_back({true, fmt::format("--json-model-override-args has the key {} twice: the last "
                                       "one counts",
                                       key)});
  }
  return parsed;
}

// config.json with keys replaced. A rotary key at the top level counts wherever the file has it.
Json overridden(Json config, const Json& overrides) {
  for (const char* section : {"rope_scaling", "rope_parameters"}) {
    if (overrides.contains(section) || !config.contains(section)) continue;
    for (const char* key : {"rope_theta", "partial_rotary_factor"}) {
      if (overrides.contains(key) && config[section].is_object()) config[section].erase(key);
    }
  }
  config.update(overrides);
  return config;
}

std::set<std::string> keys_of(const Json& object) {
  std::set<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.insert(key);
  return keys;
}

}  // namespace

Result<ModelConfig> parse_config(const Json& json, const OtherFiles& others,
                                 const Json* overrides) {
  TRY(expect_object(json, "config.json"));
  const Json effective = overrides == nullptr ? json : overridden(json, *overrides);
  ModelConfig model;
  model.family = TRY(parse_family({effective, "config.json"}));
  const Json defaults = TRY(parse_json(model.family->defaults, "defaults"));
  const ConfigReader config(effective, "config.json", &defaults);
  TRY(refuse_unsupported(config));
  model.vocab_size = TRY(config.integer("vocab_size", kVocabRange));
  model.hidden_size = TRY(config.integer("hidden_size", kHiddenRange));
  model.num_layers = TRY(config.integer("num_hidden_layers", kLayerRange));
  model.intermediate_size = TRY(config.integer("intermediate_size", kWidthRange));
  model.max_positions = TRY(config.integer("max_position_embeddings", kPositionRange));
  model.rms_norm_eps = TRY(config.real("rms_norm_eps", {1e-12, 0.1}));
  model.tie_word_embeddings = TRY(config.boolean_or("tie_word_embeddings", false));
  model.eos_token_ids = TRY(config.integers("eos_token_id", kTokenRange));
  TRY(parse_family_keys(config, model));
  model.quantization = TRY(parse_scheme(config, others.hf_quant_config, model.notes));
  if (overrides != nullptr) {
    TRY(account_overrides(config, model.family->unused, keys_of(*overrides), model.notes));
  }
  account(config, model.family->unused, model.notes);
  if (others.generation_config != nullptr) {
    TRY(parse_generation_file(*others.generation_config, model));
  }
  return model;
}

Result<ModelConfig> load_config(const std::string& folder, std::string_view override_json) {
  TRY(check_model_folder(folder));
  std::vector<Note> notes;
  const std::optional<Json> config = TRY(read_optional(folder, "config.json", notes));
  if (!config) {
    return Error(ErrorKind::not_found, "the model folder has no config.json")
        .with("folder", folder)
        .remedy("Pass the folder that holds config.json and the .safetensors files.");
  }
  TRY(expect_object(*config, "config.json"));
  std::optional<Json> overrides;
  if (!override_json.empty()) overrides = TRY(parse_override(override_json, notes));
  const std::optional<Json> generation =
      TRY(read_optional(folder, "generation_config.json", notes));
  const std::optional<Json> quantization =
      TRY(read_optional(folder, "hf_quant_config.json", notes));
  ModelConfig model = TRY(parse_config(*config,
                                       {.generation_config = generation ? &*generation : nullptr,
                                        .hf_quant_config = quantization ? &*quantization : nullptr},
                                       overrides ? &*overrides : nullptr));
  model.notes.insert(model.notes.begin(), notes.begin(), notes.end());
  return model;
}

}  // namespace braid::model

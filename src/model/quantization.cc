#include "model/quantization.h"

#include <optional>
#include <utility>
#include <vector>

#include "base/json.h"
#include "model/config_reader.h"

namespace braid::model {
namespace {

constexpr std::string_view kSupported =
    "Supported: fp8 (per tensor or with weight_block_size), compressed-tensors (float-quantized, "
    "8 bits per channel or tensor), modelopt (FP8, NVFP4).";
constexpr IntRange kBlockRange{1, 1 << 16};

Error unsupported(const ConfigReader& config, std::string message, std::string_view key) {
  return config.error(ErrorKind::unsupported, std::move(message), key)
      .remedy(std::string(kSupported));
}

Result<IgnoreList> parse_ignore(const ConfigReader& config,
                                std::initializer_list<std::string_view> keys) {
  std::vector<std::string> entries;
  for (const std::string_view key : keys) {
    for (std::string& entry : TRY(config.texts(key))) entries.push_back(std::move(entry));
  }
  return IgnoreList::parse(entries);
}

Result<QuantScheme> parse_fp8(const ConfigReader& config) {
  QuantScheme scheme{.kind = QuantKind::fp8_tensor};
  if (TRY(config.text_or("fmt", "e4m3")) != "e4m3") {
    return unsupported(config, "braid has no such 8-bit format", "fmt");
  }
  if (config.has("weight_block_size")) {
    const auto block = TRY(config.integers("weight_block_size", kBlockRange));
    if (block.size() != 2) {
      return config.error(ErrorKind::corrupt_data, "two integers were expected",
                          "weight_block_size");
    }
    scheme.kind = QuantKind::fp8_block;
    scheme.block_rows = block[0];
    scheme.block_columns = block[1];
  }
  scheme.ignore = TRY(parse_ignore(config, {"modules_to_not_convert", "ignored_layers"}));
  return scheme;
}

// The scheme of one of compressed-tensors' config_groups.
Result<QuantKind> parse_group(const ConfigReader& group) {
  const std::optional<ConfigReader> weights = TRY(group.object("weights"));
  if (!weights) return group.error(ErrorKind::corrupt_data, "a key is missing", "weights");
  if (TRY(weights->integer("num_bits", {1, 64})) != 8) {
    return unsupported(*weights, "braid has no quantized weights of this many bits", "num_bits");
  }
  if (TRY(weights->text("type")) != "float") {
    return unsupported(*weights, "braid has no such type of quantized weights", "type");
  }
  const std::string strategy = TRY(weights->text("strategy"));
  if (strategy == "channel") return QuantKind::fp8_channel;
  if (strategy == "tensor") return QuantKind::fp8_tensor;
  return unsupported(*weights, "braid has no scales of this granularity", "strategy");
}

Result<QuantScheme> parse_compressed_tensors(const ConfigReader& config) {
  if (TRY(config.text("format")) != "float-quantized") {
    return unsupported(config, "braid has no such format of quantized weights", "format");
  }
  const std::optional<ConfigReader> groups = TRY(config.object("config_groups"));
  QuantScheme scheme;
  if (groups) {
    for (const auto& [name, value] : config.find("config_groups")->items()) {
      const std::optional<ConfigReader> group = TRY(groups->object(name));
      if (!group) continue;  // null
      const QuantKind kind = TRY(parse_group(*group));
      if (scheme.kind != QuantKind::none && scheme.kind != kind) {
        return unsupported(config, "braid has no groups of different granularity", "config_groups");
      }
      scheme.kind = kind;
    }
  }
  if (scheme.kind == QuantKind::none) {
    return config.error(ErrorKind::corrupt_data, "no group says how weights are quantized",
                        "config_groups");
  }
  scheme.ignore = TRY(parse_ignore(config, {"ignore"}));
  return scheme;
}

Result<QuantScheme> parse_modelopt(const ConfigReader& config) {
  QuantScheme scheme;
  const std::string algorithm = TRY(config.text("quant_algo"));
  if (algorithm == "NVFP4") {
    scheme.kind = QuantKind::nvfp4;
    TRY(config.integer_or("group_size", {16, 16}, 16));
  } else if (algorithm == "FP8") {
    scheme.kind = QuantKind::fp8_tensor;
  } else {
    return unsupported(config, "braid has no such quantization algorithm", "quant_algo");
  }
  scheme.ignore = TRY(parse_ignore(config, {"ignore", "exclude_modules"}));
  return scheme;
}

}  // namespace

std::string_view name_of(QuantKind kind) {
  switch (kind) {
    case QuantKind::none: return "none";
    case QuantKind::fp8_block: return "fp8 per block";
    case QuantKind::fp8_tensor: return "fp8 per tensor";
    case QuantKind::fp8_channel: return "fp8 per channel";
    case QuantKind::nvfp4: return "nvfp4";
  }
  return "?";
}

Result<QuantScheme> parse_quantization(const Json& quantization, const std::string& where) {
  if (!quantization.is_object()) {
    return Error(ErrorKind::corrupt_data, "a JSON object was expected").with("in", where);
  }
  const ConfigReader config(quantization, where);
  // hf_quant_config.json wraps the same keys, and names its producer instead of a method.
  const std::optional<ConfigReader> wrapped = TRY(config.object("quantization"));
  if (wrapped) return parse_modelopt(*wrapped);
  const std::string method = TRY(config.text("quant_method"));
  if (method == "fp8") return parse_fp8(config);
  if (method == "compressed-tensors") return parse_compressed_tensors(config);
  if (method == "modelopt") return parse_modelopt(config);
  return unsupported(config, "braid has no such quantization method", "quant_method");
}

}  // namespace braid::model

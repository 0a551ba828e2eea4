#include "model/quantization.h"

#include <algorithm>
#include <cctype>
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

// "Compressed_Tensors" → "compressed-tensors".
std::string plain_name(std::string name) {
  for (char& letter : name) {
    letter =
        letter == '_' ? '-' : static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  }
  return name;
}

bool is_one_of(const std::string& name, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
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
  const std::string format = plain_name(TRY(config.text_or("fmt", "e4m3")));
  if (!is_one_of(format, {"e4m3", "e4m3fn", "float8-e4m3fn", "torch.float8-e4m3fn"})) {
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
  } else {
    config.leave_out("weight_block_size", "none");
  }
  scheme.ignore = TRY(parse_ignore(config, {"modules_to_not_convert", "ignored_layers"}));
  return scheme;
}

// Weights stored as 8-bit floats, one by one.
Status expect_float_format(const ConfigReader& config) {
  const std::string format = plain_name(TRY(config.text("format")));
  if (is_one_of(format, {"float-quantized", "naive-quantized"})) return {};
  return unsupported(config, "braid has no such format of quantized weights", "format");
}

// Sparse weights are stored in another way; transformed ones mean something else.
Status refuse_sparse_and_transformed(const ConfigReader& config) {
  const std::optional<ConfigReader> sparsity = TRY(config.object("sparsity_config"));
  if (sparsity && !sparsity->object().empty()) {
    if (plain_name(TRY(sparsity->text_or("format", "dense"))) != "dense") {
      return unsupported(*sparsity, "braid has no sparse weights", "format");
    }
    sparsity->read_all();
  }
  const std::optional<ConfigReader> transform = TRY(config.object("transform_config"));
  if (!transform || transform->object().empty()) return {};
  const Json* groups = transform->find("config_groups");
  if (groups != nullptr && groups->empty()) return {};
  return unsupported(config, "braid has no weights that were transformed before quantization",
                     "transform_config");
}

// The scheme of one of compressed-tensors' config_groups.
Result<QuantKind> parse_group(const ConfigReader& group) {
  const std::optional<ConfigReader> weights = TRY(group.object("weights"));
  if (!weights) return group.error(ErrorKind::corrupt_data, "a key is missing", "weights");
  if (TRY(weights->integer("num_bits", {1, 64})) != 8) {
    return unsupported(*weights, "braid has no quantized weights of this many bits", "num_bits");
  }
  if (plain_name(TRY(weights->text("type"))) != "float") {
    return unsupported(*weights, "braid has no such type of quantized weights", "type");
  }
  if (weights->has("symmetric") && !TRY(weights->boolean("symmetric"))) {
    return unsupported(*weights, "braid has no quantized weights with zero points", "symmetric");
  }
  if (weights->has("dynamic") && TRY(weights->boolean("dynamic"))) {
    return unsupported(*weights, "braid has no weights that are quantized while it runs",
                       "dynamic");
  }
  if (group.has("format")) TRY(expect_float_format(group));
  const std::string strategy = plain_name(TRY(weights->text("strategy")));
  if (strategy == "channel") return QuantKind::fp8_channel;
  if (strategy == "tensor") return QuantKind::fp8_tensor;
  return unsupported(*weights, "braid has no scales of this granularity", "strategy");
}

Result<QuantScheme> parse_compressed_tensors(const ConfigReader& config) {
  TRY(expect_float_format(config));
  TRY(refuse_sparse_and_transformed(config));
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
  const bool cache_alone = !config.has("quant_algo") && (config.has("kv_cache_quant_algo") ||
                                                         config.has("kv_cache_quant_method"));
  if (cache_alone) {
    config.warn(
        fmt::format("{} quantizes the KV cache alone: braid keeps it in --dtype", config.where()));
    config.read_all();
    return scheme;
  }
  const std::string algorithm = plain_name(TRY(config.text("quant_algo")));
  if (algorithm == "nvfp4") {
    scheme.kind = QuantKind::nvfp4;
    if (config.has("group_size")) TRY(config.integer("group_size", {16, 16}));
  } else if (algorithm == "fp8") {
    scheme.kind = QuantKind::fp8_tensor;
  } else {
    return unsupported(config, "braid has no such quantization algorithm", "quant_algo");
  }
  scheme.ignore = TRY(parse_ignore(config, {"ignore", "exclude_modules"}));
  return scheme;
}

// quant_method, or what the keys of a section without it belong to.
Result<std::string> method_of(const ConfigReader& config) {
  if (config.has("quant_method")) return plain_name(TRY(config.text("quant_method")));
  if (config.has("quant_algo") || config.has("kv_cache_quant_algo")) return std::string("modelopt");
  if (config.has("config_groups")) return std::string("compressed-tensors");
  return config.text("quant_method");  // the error of a missing key
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

Result<QuantScheme> parse_quantization(const ConfigReader& config) {
  // hf_quant_config.json wraps the same keys, and names its producer instead of a method.
  const std::optional<ConfigReader> wrapped = TRY(config.object("quantization"));
  if (wrapped) return parse_modelopt(*wrapped);
  const std::string method = TRY(method_of(config));
  if (method == "fp8") return parse_fp8(config);
  if (method == "compressed-tensors") return parse_compressed_tensors(config);
  if (is_one_of(method, {"modelopt", "modelopt-fp8", "modelopt-fp4", "modelopt-nvfp4"})) {
    return parse_modelopt(config);
  }
  return unsupported(config, "braid has no such quantization method", "quant_method");
}

}  // namespace braid::model

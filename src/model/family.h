// A family: the models of one class name in config.json's "architectures". Its file in families/
// says what config.json means for it, how its tensors are named and what braid refuses.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "model/attention_config.h"
#include "model/config_reader.h"
#include "model/moe_config.h"

namespace braid::model {

// How a checkpoint names the tensors of a layer with experts: "{block}.experts.N.{gate}.weight".
struct ExpertNames {
  std::string_view block = "mlp";
  std::string_view gate = "gate_proj";
  std::string_view up = "up_proj";
  std::string_view down = "down_proj";
};

struct Family {
  std::string_view class_name;  // "Glm4MoeForCausalLM"
  std::string_view model_type;  // "glm4_moe"; goldens are named so
  // A JSON object: what transformers' configuration class takes for keys that config.json lacks.
  std::string_view defaults;
  // Keys that the family has and braid reads only sometimes or never, without harm.
  std::span<const std::string_view> unused;
  ExpertNames expert_names;

  // Refuses what the family's attention has and braid's layers don't.
  Result<AttentionParts> (*attention)(const ConfigReader& config, const ModelSizes& sizes);
  // The experts, or null for a family without any.
  Result<MoeConfig> (*experts)(const ConfigReader& config) = nullptr;
  // [num_layers]: which layers have experts. Null where all have, or none.
  Result<std::vector<bool>> (*moe_layers)(const ConfigReader& config, int64_t num_layers) = nullptr;
};

// All families, in the order in which errors list them.
std::span<const Family* const> all_families();

// The family of that class name, else an error that lists the supported ones.
Result<const Family*> find_family(std::string_view class_name);

// The family's attention; refuses a window that would be in use, since no layer of braid has one.
Result<AttentionParts> parse_attention(const ConfigReader& config, const Family& family,
                                       const ModelSizes& sizes);

// [num_layers]: which layers have experts; the others have a dense MLP of intermediate_size.
Result<std::vector<bool>> parse_moe_layers(const ConfigReader& config, const Family& family,
                                           int64_t num_layers);

}  // namespace braid::model

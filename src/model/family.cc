#include "model/family.h"

#include <algorithm>
#include <string>

namespace braid::model {

Result<const Family*> find_family(std::string_view class_name) {
  std::string names;
  for (const Family* family : all_families()) {
    if (family->class_name == class_name) return family;
    if (!names.empty()) names += ", ";
    names += family->class_name;
  }
  return Error(ErrorKind::unsupported, "braid has no such architecture")
      .with("architecture", class_name)
      .remedy("Supported: " + names + ".");
}

Result<AttentionParts> parse_attention(const ConfigReader& config, const Family& family,
                                       const ModelSizes& sizes) {
  AttentionParts parts = TRY(family.attention(config, sizes));
  const auto windowed = std::find_if(parts.layers.begin(), parts.layers.end(),
                                     [](const LayerAttention& layer) { return layer.window > 0; });
  if (windowed == parts.layers.end()) return parts;
  return config
      .error(ErrorKind::unsupported, "braid has no attention in a sliding window", "sliding_window")
      .with("max_position_embeddings", sizes.max_positions)
      .remedy(fmt::format(
          "Pass --json-model-override-args '{{\"max_position_embeddings\": {}}}' to serve contexts "
          "that fit into the window.",
          windowed->window));
}

Result<std::vector<bool>> parse_moe_layers(const ConfigReader& config, const Family& family,
                                           int64_t num_layers) {
  if (family.moe_layers != nullptr) return family.moe_layers(config, num_layers);
  return std::vector<bool>(static_cast<size_t>(num_layers), family.experts != nullptr);
}

}  // namespace braid::model

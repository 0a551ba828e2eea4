// What config.json and generation_config.json say about a model, checked and bounded: every integer
// is in a range whose products fit in 63 bits, and every combination can be built.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_fwd.h"
#include "base/status.h"
#include "model/attention_config.h"
#include "model/family.h"
#include "model/generation_config.h"
#include "model/known_keys.h"
#include "model/moe_config.h"
#include "model/quantization.h"
#include "model/rotary.h"

namespace braid::model {

struct ModelConfig {
  const Family* family = nullptr;
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t num_layers = 0;         // num_hidden_layers: tensors of later layers are never read
  int64_t intermediate_size = 0;  // width of a dense layer's MLP
  int64_t max_positions = 0;      // max_position_embeddings
  double rms_norm_eps = 0.0;
  bool tie_word_embeddings = false;
  // Tokens that end a text: those of config.json and of generation_config.json. May be empty.
  std::vector<int64_t> eos_token_ids;
  // [num_layers]; heads are as many in all layers. No layer has a window: those are refused.
  std::vector<LayerAttention> attention;
  double softmax_scale = 0.0;
  RotaryConfig rotary;
  std::optional<MoeConfig> moe;
  std::vector<bool> moe_layers;  // [num_layers]
  QuantScheme quantization;
  SamplingDefaults sampling;
  std::vector<Note> notes;  // what the user should know about the files

  const AttentionConfig& attention_of(int64_t layer) const {
    return attention[static_cast<size_t>(layer)].kind;
  }
  bool is_moe(int64_t layer) const { return moe_layers[static_cast<size_t>(layer)]; }
  bool has_moe_layer() const {
    return std::find(moe_layers.begin(), moe_layers.end(), true) != moe_layers.end();
  }
};

// What else stands in a model's folder, each null where it is not there.
struct OtherFiles {
  const Json* generation_config = nullptr;  // sampling defaults, and more eos_token_ids
  const Json* hf_quant_config = nullptr;    // where config.json has no quantization_config
};
// Keys that config.json lacks have transformers' defaults. `overrides` (may be null) is an object
// whose keys replace those of config.json; an unknown key is an error.
Result<ModelConfig> parse_config(const Json& config, const OtherFiles& others = {},
                                 const Json* overrides = nullptr);

// Reads the three files from a model folder. `override_json` is a JSON object, or empty
// (--json-model-override-args).
Result<ModelConfig> load_config(const std::string& folder, std::string_view override_json = {});

}  // namespace braid::model

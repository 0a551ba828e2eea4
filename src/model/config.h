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
#include "model/moe_config.h"
#include "model/quantization.h"
#include "model/rotary.h"

namespace braid::model {

// The sampling parameters that the model's authors recommend, each where they give one.
struct SamplingDefaults {
  std::optional<double> temperature;
  std::optional<double> top_p;
  std::optional<int64_t> top_k;  // 0: all tokens
  std::optional<bool> do_sample;
};

struct ModelConfig {
  const Family* family = nullptr;
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t num_layers = 0;         // num_hidden_layers: tensors of later layers are never read
  int64_t intermediate_size = 0;  // width of a dense layer's MLP
  int64_t max_positions = 0;      // max_position_embeddings
  double rms_norm_eps = 0.0;
  bool tie_word_embeddings = false;
  std::vector<int64_t> eos_token_ids;  // may be empty
  // [num_layers]; heads are as many in all layers. No layer has a window: those are refused.
  std::vector<LayerAttention> attention;
  double softmax_scale = 0.0;
  RotaryConfig rotary;
  std::optional<MoeConfig> moe;
  std::vector<bool> moe_layers;  // [num_layers]
  QuantScheme quantization;
  SamplingDefaults sampling;

  const AttentionConfig& attention_of(int64_t layer) const {
    return attention[static_cast<size_t>(layer)].kind;
  }
  bool is_moe(int64_t layer) const { return moe_layers[static_cast<size_t>(layer)]; }
  bool has_moe_layer() const {
    return std::find(moe_layers.begin(), moe_layers.end(), true) != moe_layers.end();
  }
};

// `generation_config` (may be null) gives sampling defaults and overrides eos_token_id;
// `hf_quant_config` (may be null) is used where config.json has no quantization_config.
Result<ModelConfig> parse_config(const Json& config, const Json* generation_config = nullptr,
                                 const Json* hf_quant_config = nullptr);

// Reads the three files from a model folder. `override_json` is a JSON object (or empty) whose keys
// replace those of config.json (--json-model-override-args).
Result<ModelConfig> load_config(const std::string& folder, std::string_view override_json = {});

}  // namespace braid::model

// What the fuzz targets run on each input; the tests replay the regression corpora through the same
// functions. They abort when accepted input breaks a promise of the parsers.
#pragma once

#include <cmath>
#include <span>
#include <string_view>

#include "base/json.h"
#include "model/config.h"
#include "model/safetensors.h"
#include "model/safetensors_header.h"

namespace braid::model {

// A safetensors file: accepted tensors lie within the file, one after the other, and cover it.
inline void fuzz_safetensors(std::span<const std::byte> file) {
  const auto tensors = parse_safetensors(file, std::ssize(file), "fuzz");
  if (!tensors.ok()) return;
  if (tensors->empty()) return;
  int64_t at = tensors->front().begin;
  BRAID_CHECK(at >= 8);
  for (const HeaderEntry& tensor : *tensors) {
    BRAID_CHECK(tensor.begin == at);
    BRAID_CHECK(tensor_bytes(tensor.type, tensor.shape) == tensor.end - tensor.begin);
    at = tensor.end;
  }
  BRAID_CHECK(at == std::ssize(file));
}

// The text of config.json, which also serves as generation_config.json and hf_quant_config.json:
// sizes derived from an accepted config don't overflow and its frequencies are finite.
inline void fuzz_config(std::string_view text) {
  const auto json = parse_json(text, "fuzz");
  if (!json.ok()) return;
  const auto config = parse_config(*json, {&*json, &*json});
  if (!config.ok()) return;
  BRAID_CHECK(std::ssize(config->moe_layers) == config->num_layers);
  for (const float frequency : inverse_frequencies(config->rotary)) {
    BRAID_CHECK(std::isfinite(frequency) && frequency > 0.0f);
  }
  BRAID_CHECK(std::isfinite(cos_sin_multiplier(config->rotary)));
  BRAID_CHECK(std::isfinite(config->softmax_scale) && config->softmax_scale > 0.0);
  int64_t elements = config->num_layers * config->hidden_size * 3;
  if (config->moe) {
    const int64_t width = config->moe->expert_width;
    BRAID_CHECK(!__builtin_mul_overflow(elements, width * config->moe->num_experts, &elements));
  }
  for (const std::string_view module : {"lm_head", "model.layers.0.mlp.gate", ""}) {
    (void)config->quantization.ignore.matches(module);  // may be an error, never hangs
  }
}

}  // namespace braid::model

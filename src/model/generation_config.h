// generation_config.json: what the model's authors recommend for sampling, and tokens that end a
// text.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/json_fwd.h"
#include "model/known_keys.h"

namespace braid::model {

// Ids of tokens.
inline constexpr IntRange kTokenRange{0, (int64_t{1} << 31) - 1};

// The sampling parameters that the model's authors recommend, each where they give one.
struct SamplingDefaults {
  std::optional<double> temperature;
  std::optional<double> top_p;
  std::optional<int64_t> top_k;  // 0: all tokens
  std::optional<double> min_p;
  std::optional<bool> do_sample;
  // These count without sampling, too.
  std::optional<double> repetition_penalty;
  std::optional<double> presence_penalty;
  std::optional<double> frequency_penalty;
};

struct GenerationConfig {
  SamplingDefaults sampling;
  std::vector<int64_t> eos_token_ids;
};

// Adds to `notes` which recommendations braid does not apply, and keys that it does not know.
Result<GenerationConfig> parse_generation(const Json& json, std::vector<Note>& notes);

}  // namespace braid::model

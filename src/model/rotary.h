// Rotary position embedding: its parameters, inverse frequencies and the YaRN corrections.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "model/config_reader.h"

namespace braid::model {

// YaRN (arXiv 2309.00071) with DeepSeek's two mscale parameters (arXiv 2405.04434).
struct YarnConfig {
  double factor = 1.0;
  double beta_fast = 32.0;
  double beta_slow = 1.0;
  int64_t original_max_positions = 0;  // original_max_position_embeddings
  double mscale = 1.0;
  double mscale_all_dim = 0.0;
  std::optional<double> attention_factor;  // when given, what cos and sin are multiplied by
  bool truncate = true;                    // round the ends of the ramp to whole dimensions
};

struct RotaryConfig {
  int64_t dim = 0;  // leading (GQA) or rope (MLA) dimensions of a head that rotate; even
  double theta = 10000.0;
  // Which dimensions form a pair: (2i, 2i+1) when interleaved, else (i, i + dim/2).
  bool interleaved = false;
  std::optional<YarnConfig> yarn;
};

// head_dim · partial_rotary_factor, which stands beside the other rotary keys or is `fallback`.
Result<int64_t> parse_rotary_dim(const ConfigReader& config, int64_t head_dim, double fallback);

// Reads the scaling from `rope_scaling` where there is one, else from `rope_parameters`; rope_theta
// from there, else from the top level. The type is "rope_type" or "type". Warns where both sections
// are there. Refuses types other than default and yarn by name.
Result<RotaryConfig> parse_rotary(const ConfigReader& config, int64_t dim, bool interleaved,
                                  int64_t max_positions);

// f32 [dim/2]: theta^(-2i/dim), with YaRN's ramp between interpolated and original frequencies.
std::vector<float> inverse_frequencies(const RotaryConfig& rotary);

// What cos and sin are multiplied by: with m(f, s) = 0.1·s·ln f + 1, YaRN's attention_factor or
// m(factor, mscale) / m(factor, mscale_all_dim); 1 without YaRN.
float cos_sin_multiplier(const RotaryConfig& rotary);

// What MLA's softmax scale is multiplied by: m(factor, mscale_all_dim)²; 1 without YaRN.
double softmax_scale_multiplier(const RotaryConfig& rotary);

}  // namespace braid::model

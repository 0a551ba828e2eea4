// Which of a checkpoint's weights are quantized, and how.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/status.h"
#include "model/config_reader.h"
#include "model/ignore_list.h"

namespace braid::model {

// What stands beside X.weight [n, k]; scales are f32, or another float type:
enum class QuantKind : uint8_t {
  none,
  fp8_block,    // weight e4m3 [n,k], weight_scale_inv [⌈n/bn⌉, ⌈k/bk⌉]
  fp8_tensor,   // weight e4m3 [n,k], weight_scale [] or [1]
  fp8_channel,  // weight e4m3 [n,k], weight_scale [n,1]
  nvfp4  // weight u8 [n,k/2], low nibble first; weight_scale e4m3 [n,k/16]; weight_scale_2 []
};

std::string_view name_of(QuantKind kind);

struct QuantScheme {
  QuantKind kind = QuantKind::none;
  int64_t block_rows = 0;  // bn and bk of fp8_block
  int64_t block_columns = 0;
  IgnoreList ignore;
};

// Parses config.json's quantization_config, or the content of hf_quant_config.json. Names of
// methods, algorithms and formats count in any case, with '_' or '-'; a section without
// quant_method is known by its keys. Refuses what is not in QuantKind, sparse and transformed
// weights by name. How activations are quantized is not read: the weights alone decide what a
// checkpoint holds. A section that quantizes the KV cache alone leaves the weights as they are,
// with a warning.
Result<QuantScheme> parse_quantization(const ConfigReader& config);

}  // namespace braid::model

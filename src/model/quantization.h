// Which of a checkpoint's weights are quantized, and how.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/status.h"

namespace braid::model {

// What stands beside X.weight [n, k]:
enum class QuantKind : uint8_t {
  none,
  fp8_block,    // weight e4m3 [n,k], weight_scale_inv [⌈n/bn⌉, ⌈k/bk⌉]
  fp8_tensor,   // weight e4m3 [n,k], weight_scale [] or [1]
  fp8_channel,  // weight e4m3 [n,k], weight_scale [n,1]
  nvfp4  // weight u8 [n,k/2], low nibble first; weight_scale e4m3 [n,k/16]; weight_scale_2 []
};

std::string_view name_of(QuantKind kind);

// The modules that stay unquantized: exact names, globs (* and ?), and "re:" regular expressions
// that must match from the name's start. Immutable after parsing, copies share the patterns.
class IgnoreList {
 public:
  static Result<IgnoreList> parse(const std::vector<std::string>& entries);

  // Whether module "model.layers.0.mlp.gate" (a tensor name without .weight) is listed. An error
  // when a regular expression takes too many steps.
  Result<bool> matches(std::string_view module) const;

 private:
  struct Pattern;
  std::shared_ptr<const std::vector<Pattern>> patterns_;
};

struct QuantScheme {
  QuantKind kind = QuantKind::none;
  int64_t block_rows = 0;  // bn and bk of fp8_block
  int64_t block_columns = 0;
  IgnoreList ignore;
};

// config.json's quantization_config, or the content of hf_quant_config.json. Refuses unknown
// methods by name.
Result<QuantScheme> parse_quantization(const Json& quantization_config);

}  // namespace braid::model

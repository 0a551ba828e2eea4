// The supported architectures, by the class name in config.json's "architectures".
#pragma once

#include <cstdint>
#include <string_view>

#include "base/status.h"

namespace braid::model {

enum class Architecture : uint8_t { glm4_moe, deepseek_v2, deepseek_v3, qwen3_moe, qwen2, mixtral };

// "Glm4MoeForCausalLM" and so on.
std::string_view name_of(Architecture architecture);

// The architecture of that class name, else an error that lists the supported ones.
Result<Architecture> parse_architecture(std::string_view class_name);

}  // namespace braid::model

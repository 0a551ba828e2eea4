#include "model/architecture.h"

#include <array>
#include <string>

namespace braid::model {
namespace {

constexpr std::array kArchitectures = {Architecture::glm4_moe,    Architecture::deepseek_v2,
                                       Architecture::deepseek_v3, Architecture::qwen3_moe,
                                       Architecture::qwen2,       Architecture::mixtral};

std::string supported_names() {
  std::string names;
  for (const Architecture architecture : kArchitectures) {
    if (!names.empty()) names += ", ";
    names += name_of(architecture);
  }
  return names;
}

}  // namespace

std::string_view name_of(Architecture architecture) {
  switch (architecture) {
    case Architecture::glm4_moe: return "Glm4MoeForCausalLM";
    case Architecture::deepseek_v2: return "DeepseekV2ForCausalLM";
    case Architecture::deepseek_v3: return "DeepseekV3ForCausalLM";
    case Architecture::qwen3_moe: return "Qwen3MoeForCausalLM";
    case Architecture::qwen2: return "Qwen2ForCausalLM";
    case Architecture::mixtral: return "MixtralForCausalLM";
  }
  return "?";
}

Result<Architecture> parse_architecture(std::string_view class_name) {
  for (const Architecture architecture : kArchitectures) {
    if (name_of(architecture) == class_name) return architecture;
  }
  return Error(ErrorKind::unsupported, "braid has no such architecture")
      .with("architecture", class_name)
      .remedy("Supported: " + supported_names() + ".");
}

}  // namespace braid::model

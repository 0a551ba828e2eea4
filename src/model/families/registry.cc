// The list of families. A new one is a file of its own here, and one line of this list.
#include <array>

#include "model/family.h"

// clang-format off
#define BRAID_FAMILIES(family) \
  family(glm4_moe) \
  family(deepseek_v2) \
  family(deepseek_v3) \
  family(qwen3_moe) \
  family(qwen2) \
  family(mixtral)
// clang-format on

namespace braid::model {

namespace families {
#define BRAID_DECLARE(name) extern const Family name;
BRAID_FAMILIES(BRAID_DECLARE)
#undef BRAID_DECLARE
}  // namespace families

std::span<const Family* const> all_families() {
#define BRAID_ADDRESS(name) &families::name,
  static constexpr std::array kFamilies = {BRAID_FAMILIES(BRAID_ADDRESS)};
#undef BRAID_ADDRESS
  return kFamilies;
}

}  // namespace braid::model

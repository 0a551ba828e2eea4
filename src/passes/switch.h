// The values of an option that turns a pass on or off.
#pragma once

#include <string_view>

#include "base/status.h"

namespace braid::passes {

enum class Switch { automatic, on, off };

// "auto", "on", "off"; else a usage error.
Result<Switch> parse_switch(std::string_view option, std::string_view text);

}  // namespace braid::passes

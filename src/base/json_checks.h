// What is legal JSON, and yet likely a mistake.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace braid {

// The keys that stand twice in an object of `text`, as paths ("a.b"), each once; the last value of
// such a key counts. Empty for a text that is no JSON.
std::vector<std::string> duplicate_keys(std::string_view text);

}  // namespace braid

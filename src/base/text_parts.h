// Parts of what is written behind options.
#pragma once

#include <string_view>
#include <vector>

#include "base/status.h"

namespace braid {

// `usage` unless all of the text is a whole number.
Result<int64_t> parse_number(std::string_view text);
// "a:b:c" in its parts; always one at least.
std::vector<std::string_view> split(std::string_view text, char separator);

}  // namespace braid

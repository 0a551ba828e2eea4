// Text of others (of a model, a template, a file) on a terminal, which would obey what it is told.
#pragma once

#include <string>
#include <string_view>

namespace braid {

// The text with its control characters but newline and tab written as \x1b, \x7f or \u009b. What is
// no UTF-8 is \x9b in the range of C1, and stays otherwise.
std::string visible(std::string_view text);

}  // namespace braid

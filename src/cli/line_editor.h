// Lines that a person types at a terminal.
#pragma once

#include <optional>
#include <string>

namespace braid::cli {

// Shows the prompt on stderr and reads a line of stdin, which can be edited; lines before it come
// back with the arrow keys. Nothing at the end of the input (Ctrl-D).
std::optional<std::string> edit_line(const std::string& prompt);

}  // namespace braid::cli

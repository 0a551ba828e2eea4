// The whole program, without the process around it.
#pragma once

#include <span>

#include "cli/streams.h"

namespace braid::cli {

inline constexpr std::string_view kVersion = "0.1.0";

// Runs the command that `arguments` (without the program's name) ask for. Returns the exit code:
// 0, 1 (an error), 2 (an error of usage); 130, 143 or 129 when SIGINT, SIGTERM or SIGHUP has ended
// it.
int run(std::span<const char* const> arguments, Streams& streams);

}  // namespace braid::cli

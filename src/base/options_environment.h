// Environment variables that look like options but are not options.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/options.h"

namespace braid {

// The names of this process's variables that begin with BRAID_.
std::vector<std::string> process_variables();

// A warning for each of `names` that belongs to no option of the table, with the nearest that does.
std::vector<std::string> unknown_variables(const OptionTable& table,
                                           std::span<const std::string> names);

}  // namespace braid

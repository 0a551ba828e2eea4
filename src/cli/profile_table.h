// The table of a profile, on the terminal and as JSON.
#pragma once

#include "base/json_fwd.h"
#include "lab/profile_report.h"

namespace braid::cli {

// The table of a phase: microseconds of each module, by rank; at most 100 columns for 8 ranks.
// In so many columns of a terminal: of many ranks the first ones.
std::string to_table(const lab::PhaseReport& report, size_t width = 160);
Json to_json(const lab::PhaseReport& report);

}  // namespace braid::cli

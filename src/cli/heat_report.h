// What eval balance prints and writes.
#pragma once

#include <string>

#include "base/json_fwd.h"
#include "lab/heat_windows.h"

namespace braid::cli {

// Balance of each window, of recent ones and of all together; of each layer; all by phase.
std::string heat_table(const lab::HeatRecord& record, const experts::ExpertPlacement& placement,
                       double half_life);
// The same as JSON.
Json heat_summary(const lab::HeatRecord& record, const experts::ExpertPlacement& placement,
                  double half_life);

// All counts; docs/heat.md describes it.
Json heat_export(const lab::HeatRecord& record);

}  // namespace braid::cli

// What eval balance prints and writes.
#pragma once

#include <string>

#include "base/json_fwd.h"
#include "engine/heat.h"

namespace braid::cli {

// Balance of each window, of recent ones and of all together; of each layer; all by phase.
std::string heat_table(const engine::HeatRecord& record, const experts::ExpertPlacement& placement,
                       double half_life);
// The same as JSON.
Json heat_summary(const engine::HeatRecord& record, const experts::ExpertPlacement& placement,
                  double half_life);

// All counts; docs/heat.md describes it.
Json heat_export(const engine::HeatRecord& record);

}  // namespace braid::cli

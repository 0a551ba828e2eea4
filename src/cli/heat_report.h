// What eval balance prints and writes.
#pragma once

#include <string>
#include <vector>

#include "base/json_fwd.h"
#include "engine/heat.h"

namespace braid::cli {

// How ranks of the experts' mesh share the work.
struct HeatLayout {
  std::vector<int32_t> holders;  // [E]: which of the ranks along moe_ep holds each expert
  int32_t ranks = 1;             // along moe_ep
};

// Balance of all windows together, of each, and of recent ones; of each layer; all by phase.
std::string heat_table(const engine::HeatRecord& record, const HeatLayout& layout,
                       double half_life);
// The same as JSON.
Json heat_summary(const engine::HeatRecord& record, const HeatLayout& layout, double half_life);

// All counts; docs/heat.md describes it.
Json heat_export(const engine::HeatRecord& record, const HeatLayout& layout);

}  // namespace braid::cli

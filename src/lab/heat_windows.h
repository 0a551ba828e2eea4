// Heat of an engine's steps, by windows: what `braid eval balance` looks at and a balancer plans
// with.
#pragma once

#include <functional>

#include "engine/engine.h"
#include "experts/heat.h"
#include "experts/placement.h"

namespace braid::lab {

// Which ranks along moe_ep hold which experts in this layout.
experts::ExpertPlacement placement_in(const model::ModelConfig& config,
                                      const layout::Layout& layout);

// Counts of all groups after the engine's last step, in whatever process they are. Ranks of a group
// have the same rows: its leader's counts are the group's. The engine must count heat.
Result<experts::Heat> heat_now(engine::Engine& engine);

struct HeatRecord {
  struct Window {
    int64_t first_step = 0;
    int64_t last_step = 0;
    std::array<int64_t, 2> rows = {};  // of each phase, all groups together; padding aside
    experts::Heat heat;
  };

  experts::HeatSizes sizes;
  std::vector<int32_t> layers;  // the model's numbers of those that have experts
  std::vector<Window> windows;  // in the order of steps; the last may be shorter
  Window all() const;           // of which there is at least one
};

// Runs `requests` to their end and cuts their heat into windows of so many steps. `progress` is
// told after each step how many tokens of prompts and answers it computed. `internal` where
// counters disagree with the rows that were planned.
Result<HeatRecord> collect_heat(engine::Engine& engine, std::vector<engine::Request> requests,
                                int64_t window_steps,
                                const std::function<void(int64_t)>& progress = nullptr);

}  // namespace braid::lab

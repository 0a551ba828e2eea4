// braid bench techniques, in parts: where it runs, and the two ways to compare: whole steps of a
// model on CPU ranks, or single layers on ranks of any device.
#pragma once

#include "cli/commands.h"
#include "ranks/backend.h"

namespace braid::cli {

struct TechniqueDevice {
  ranks::DeviceKind kind = ranks::DeviceKind::cpu;
  int32_t ranks = 2;  // 1: the only GPU
  std::string note;   // what the user may wonder about; empty: nothing
};

// What --device means where there are so many GPUs. auto takes GPUs where there are two, and where
// no link is emulated. `not_found` where there is none and one is asked for.
Result<TechniqueDevice> technique_device(std::string_view asked, bool emulates_link, int32_t gpus);

// After Ctrl-C the table of what was measured by then.
Result<Outcome> engine_techniques(const Context& context, const TechniqueDevice& device);
Status layer_techniques(const Context& context, const TechniqueDevice& device);

}  // namespace braid::cli

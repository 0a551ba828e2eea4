// Adds the kernel of RouteExpertsDesc that runs on the CPU. register_cpu() calls it.
#pragma once

#include "flow/launcher.h"

namespace braid::ops {

void register_route_experts_cpu(flow::LauncherTable& table);

}  // namespace braid::ops

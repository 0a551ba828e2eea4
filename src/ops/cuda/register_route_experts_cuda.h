// Adds the GPU's kernels of RouteExpertsDesc. register_cuda() calls it.
#pragma once

#include "flow/launcher.h"

namespace braid::ops {

void register_route_experts_cuda(flow::LauncherTable& table);

}  // namespace braid::ops

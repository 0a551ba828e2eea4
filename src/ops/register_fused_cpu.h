// Adds the CPU's kernels of AddRmsNormDesc and RouteExpertsDesc, which passes make of other ops:
// the kernels of these, one after the other. register_cpu() calls it.
#pragma once

#include "flow/launcher.h"

namespace braid::ops {

void register_fused_cpu(flow::LauncherTable& table);

}  // namespace braid::ops

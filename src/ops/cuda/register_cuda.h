// The GPU's kernels of every kind but the collectives.
#pragma once

#include "flow/launcher.h"

namespace braid::ops {

void register_cuda(flow::LauncherTable& table);

}  // namespace braid::ops

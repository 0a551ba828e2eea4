// Adds the GPU's kernels of routing and of what moves rows around the experts. register_cuda()
// calls it.
#pragma once

#include "flow/launcher.h"

namespace braid::ops {

void register_moe_cuda(flow::LauncherTable& table);

}  // namespace braid::ops

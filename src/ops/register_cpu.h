// The CPU's kernels of every kind.
#pragma once

#include "flow/launcher.h"

namespace braid::ops {

void register_cpu(flow::LauncherTable& table);

}  // namespace braid::ops

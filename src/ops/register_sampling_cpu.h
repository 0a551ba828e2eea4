// The kinds of ops/sample.h on the CPU.
#pragma once

#include "flow/launcher.h"

namespace braid::ops {

void register_sampling_cpu(flow::LauncherTable& table);

}  // namespace braid::ops

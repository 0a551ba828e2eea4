// The kinds of ops/sample.h on CUDA.
#pragma once

#include "flow/launcher.h"

namespace braid::ops {

void register_sampling_cuda(flow::LauncherTable& table);

}  // namespace braid::ops

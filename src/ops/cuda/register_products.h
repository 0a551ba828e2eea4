// Products on CUDA: GemmDesc and GroupedGemmDesc.
#pragma once

#include "flow/launcher.h"

namespace braid::ops {

// Where there is a GPU, can_implement() of a GEMM chooses its configuration for the current device,
// so that a launch only looks it up (and can be captured).
void register_products_cuda(flow::LauncherTable& table);

}  // namespace braid::ops

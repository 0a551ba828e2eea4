// Workspace planning: offsets for step buffers and kernels' scratch in one arena. Memory is reused
// only between buffers that happens-before orders already, so planning never adds a wait.
#pragma once

#include <vector>

#include "flow/clocks.h"
#include "flow/compile.h"

namespace braid::flow {

// Fills schedule.buffers, .scratch and .workspace_bytes. `before` and `after` are per op: the
// clocks when it starts and when it has ended.
void plan_workspace(Schedule& schedule, const std::vector<Clock>& before,
                    const std::vector<Clock>& after, const ScratchBytes& scratch_bytes);

}  // namespace braid::flow

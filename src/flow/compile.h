// Program → Schedule: lanes, the fewest waits that keep every dependency, workspace offsets.
// Pure: the same Program gives the same Schedule on every rank.
#pragma once

#include <functional>

#include "flow/schedule.h"

namespace braid::flow {

// Bytes of scratch memory that an op's kernel needs; from the launcher table of the device.
using ScratchBytes = std::function<int64_t(const Op& op, std::span<const Type> types)>;

// Fails with `internal` when an op reads step rows that no earlier op wrote. Without `overlaps` no
// op follows another while that still runs.
Result<Schedule> compile(Program program, const ScratchBytes& scratch_bytes = nullptr,
                         const KernelOverlaps& overlaps = nullptr);

// Workspace offsets are multiples of this, so that neighbours share no cache line or vector load.
inline constexpr int64_t kWorkspaceAlignment = 256;

}  // namespace braid::flow

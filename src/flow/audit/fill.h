// Audit of declarations by fill, for devices whose memory no sanitizer guards.
//
// Every op runs twice on the same state, alone: as it is, and with NaN in all memory that it
// doesn't declare. What it doesn't declare to write must keep its bytes, and what it writes must be
// the same in both runs: else it read what it doesn't declare. What it declares to write only holds
// other bytes in each run.
//
// Weights are compared but not filled. What stays unseen: undeclared reads of weights, and those
// that change no result.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "device/device.h"
#include "flow/audit/audit.h"

namespace braid::flow {

struct FillAuditOptions {
  int64_t step = 0;
  int64_t most_weight_bytes = int64_t{64} << 20;  // larger weights aren't compared
  std::optional<DeclarationMutation> mutation;
};

// The device as an audit needs it.
struct FillAuditDevice {
  // Copies the memory of a resident, or of the workspace (-1), from and to the host.
  std::function<device::Device&(int32_t resident)> memory_of;
  // Runs an op of the Schedule and waits for its end.
  std::function<Status(size_t op)> run_op;
};

struct FillAudit {
  std::vector<AuditFinding> findings;
  std::vector<std::string> not_compared;  // weights that are too large
};

// Audits all ops in program order and leaves memory as run_serial would. `arena` is the workspace
// that `bound` was bound to. Error only where run_op fails. Ranks that share collectives audit at
// the same time: each runs the same ones in the same order, and goes on past what it finds.
Result<FillAudit> audit_by_fill(const BoundSchedule& bound, const Residents& residents,
                                std::span<std::byte> arena, const FillAuditDevice& device,
                                const FillAuditOptions& options);

}  // namespace braid::flow

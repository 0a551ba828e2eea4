// Collectives on GPUs: NCCL's, and those of copy engines.
#pragma once

#include <memory>

#include "comm/cuda/copy_engine_group.h"
#include "comm/nccl/nccl_group.h"
#include "flow/launcher.h"

namespace braid::ops {

// One communicator of this rank. The copy engines' half exists once the workspace does; Schedules
// that use it are compiled before, and run after.
struct CudaCommunicator {
  int32_t ranks = 1;
  std::unique_ptr<comm::NcclGroup> nccl;
  std::unique_ptr<comm::CopyEngineGroup> copy_engines;
};

// `communicators[id]` must outlive the table; null: this rank is no member.
void register_collectives_cuda(flow::LauncherTable& table,
                               std::span<CudaCommunicator* const> communicators);

}  // namespace braid::ops

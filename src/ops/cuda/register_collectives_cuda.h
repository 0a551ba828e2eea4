// Collectives on GPUs: NCCL's, those of copy engines, and those of different row counts.
#pragma once

#include <memory>

#include "comm/cuda/copy_engine_group.h"
#include "comm/cuda/ragged_group.h"
#include "comm/nccl/nccl_group.h"
#include "flow/launcher.h"

namespace braid::ops {

// One communicator of this rank. All but NCCL's part exists once the workspace does; Schedules that
// use it are compiled before, and run after.
struct CudaCommunicator {
  comm::Members members;  // this rank's group
  std::unique_ptr<comm::NcclGroup> nccl;
  std::unique_ptr<comm::CopyEngineGroup> copy_engines;
  std::unique_ptr<comm::RaggedGroup> ragged;
};

// `communicators[id]` must outlive the table; null: this rank is no member.
void register_collectives_cuda(flow::LauncherTable& table,
                               std::span<CudaCommunicator* const> communicators);

}  // namespace braid::ops

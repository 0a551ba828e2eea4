// Collectives of NCCL over a group of the ranks of a control plane.
#pragma once

#include <nccl.h>

#include <memory>

#include "base/format.h"
#include "comm/control/control_plane.h"
#include "comm/members.h"

namespace braid::comm {

// Captured and eager runs never share a communicator: this holds one for each.
class NcclGroup {
 public:
  // On the thread's current GPU. All ranks of `control` call it at the same point, each with the
  // group that it is in. `max_blocks`: the SMs that a collective may take; 0: NCCL's choice.
  static Result<std::unique_ptr<NcclGroup>> create(ControlPlane& control, const Members& members,
                                                   int max_blocks = 0);
  ~NcclGroup();
  NcclGroup(const NcclGroup&) = delete;
  NcclGroup& operator=(const NcclGroup&) = delete;

  // out = Σ_r in_r. All calls come from one thread, in the same order on all ranks.
  Status all_reduce(const void* in, void* out, int64_t elements, Format format,
                    cudaStream_t stream);
  // `bytes` of every rank, one behind the other in all ranks' out.
  Status all_gather(const void* in, void* out, int64_t bytes, cudaStream_t stream);

 private:
  NcclGroup() = default;
  Result<ncclComm_t> communicator_for(cudaStream_t stream) const;

  ncclComm_t eager_ = nullptr;
  ncclComm_t captured_ = nullptr;
};

}  // namespace braid::comm

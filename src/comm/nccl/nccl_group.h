// Collectives of NCCL over a group of the ranks of a control plane.
#pragma once

#include <nccl.h>

#include <memory>
#include <span>

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
  // out = this member's part of Σ_r in_r, which has counts[m] elements for each member m, in turn.
  Status reduce_scatter(const void* in, void* out, std::span<const int64_t> counts, Format format,
                        cudaStream_t stream);
  // out = the parts of all members, in turn; `in` may be this one's place in it.
  Status gather_parts(const void* in, void* out, std::span<const int64_t> counts, Format format,
                      cudaStream_t stream);
  // `bytes` of every rank, one behind the other in all ranks' out.
  Status all_gather(const void* in, void* out, int64_t bytes, cudaStream_t stream);

 private:
  NcclGroup() = default;
  Result<ncclComm_t> communicator_for(cudaStream_t stream) const;

  int member_ = 0;
  ncclComm_t eager_ = nullptr;
  ncclComm_t captured_ = nullptr;
};

}  // namespace braid::comm

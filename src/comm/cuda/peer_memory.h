// A piece of every rank's GPU memory, seen by all ranks of the host through CUDA IPC.
#pragma once

#include <vector>

#include "comm/control/control_plane.h"

namespace braid::comm {

class PeerMemory {
 public:
  PeerMemory() = default;
  // Each rank shares [base, base + bytes), the whole of one allocation; `bytes` are equal on all
  // ranks. The memory must outlive this on every rank. `unsupported` when a GPU cannot reach
  // another one's memory.
  static Result<PeerMemory> share(std::byte* base, int64_t bytes, ControlPlane& control);
  PeerMemory(PeerMemory&& other) noexcept { *this = std::move(other); }
  PeerMemory& operator=(PeerMemory&& other) noexcept;
  ~PeerMemory();

  // Where `mine`, which points into this rank's piece, lies in the piece of `rank`.
  std::byte* at(int rank, const void* mine) const {
    return bases_[static_cast<size_t>(rank)] + offset_of(mine);
  }
  bool holds(const void* mine, int64_t bytes) const {
    return !bases_.empty() && offset_of(mine) >= 0 && offset_of(mine) + bytes <= bytes_;
  }

 private:
  int64_t offset_of(const void* mine) const {
    return static_cast<const std::byte*>(mine) - bases_[static_cast<size_t>(rank_)];
  }

  int rank_ = 0;
  int64_t bytes_ = 0;
  std::vector<std::byte*> bases_;  // of every rank's piece, in this process's addresses
};

}  // namespace braid::comm

// A piece of every rank's GPU memory, seen by all ranks of the host through CUDA IPC.
#pragma once

#include <vector>

#include "comm/control/control_plane.h"

namespace braid::comm {

class PeerMemory {
 public:
  PeerMemory() = default;
  // Each rank shares [base, base + bytes), the whole of one allocation, of any size. The memory
  // must outlive this on every rank. `unsupported` when a GPU cannot reach another one's memory.
  static Result<PeerMemory> share(std::byte* base, int64_t bytes, ControlPlane& control);
  PeerMemory(PeerMemory&& other) noexcept { *this = std::move(other); }
  PeerMemory& operator=(PeerMemory&& other) noexcept;
  ~PeerMemory();

  // Where `mine`, which points into this rank's piece, lies in the piece of `rank`.
  std::byte* at(int rank, const void* mine) const {
    return bases_[static_cast<size_t>(rank)] + offset_of(mine);
  }
  // Whether the piece of `rank` is there as far as `bytes` behind that place.
  bool holds(int rank, const void* mine, int64_t bytes) const {
    const auto index = static_cast<size_t>(rank);
    return index < bytes_.size() && offset_of(mine) >= 0 &&
           offset_of(mine) + bytes <= bytes_[index];
  }
  bool holds(const void* mine, int64_t bytes) const { return holds(rank_, mine, bytes); }
  // Of `mine` in this rank's piece.
  int64_t offset_of(const void* mine) const {
    return static_cast<const std::byte*>(mine) - bases_[static_cast<size_t>(rank_)];
  }
  std::byte* base(int rank) const { return bases_[static_cast<size_t>(rank)]; }

 private:
  int rank_ = 0;
  std::vector<int64_t> bytes_;     // of every rank's piece
  std::vector<std::byte*> bases_;  // where it begins in this process's addresses
};

}  // namespace braid::comm

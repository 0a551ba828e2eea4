// Collectives by copy engines: peers' memory is written by plain copies, ordered by words that
// streams write and await. Only one addition in between runs on SMs, in blocks so small that what
// runs beside keeps its own. Needs GPUs of one host.
#pragma once

#include <cuda_runtime_api.h>

#include <memory>

#include "base/format.h"
#include "comm/cuda/peer_workspace.h"

namespace braid::comm {

class CopyEngineGroup {
 public:
  // Operands of collectives lie in the workspace, at equal offsets on all members. Every member
  // calls this at the same point.
  static Result<std::unique_ptr<CopyEngineGroup>> create(PeerWorkspace& workspace,
                                                         const Members& members);

  // Scratch bytes of an all_reduce of `elements`.
  static int64_t scratch_bytes(int64_t elements, Format format, int ranks);

  // out = Σ_r in_r, in the order of members, in float32, rounded once. All of them enqueue the same
  // collectives in the same order, all of one rank on one stream. Can be captured.
  Status all_reduce(const void* in, void* out, void* scratch, int64_t elements, Format format,
                    cudaStream_t stream);

 private:
  enum Signal : int { ready, parts_are_here, sums_are_here, kNumSignals };

  CopyEngineGroup(const PeerMemory& arena, PeerWords words)
      : arena_(arena),
        words_(std::move(words)),
        rank_(words_.members().index),
        size_(words_.members().size()) {}
  // Where `mine` lies in a member's workspace.
  std::byte* at(int member, const void* mine) const {
    return arena_.at(words_.members().ranks[static_cast<size_t>(member)], mine);
  }
  // Whether all members have so many bytes there.
  bool all_hold(const void* mine, int64_t bytes) const;
  int peer(int turn) const { return words_.members().peer(turn); }

  const PeerMemory& arena_;
  PeerWords words_;
  int rank_;  // among the members
  int size_;
};

}  // namespace braid::comm

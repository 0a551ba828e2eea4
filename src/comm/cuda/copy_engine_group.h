// Collectives by copy engines: peers' memory is written by plain copies, ordered by words that
// streams write and await. Only one addition in between runs on SMs, in blocks so small that what
// runs beside keeps its own. Needs GPUs of one host.
#pragma once

#include <cuda_runtime_api.h>

#include <memory>

#include "base/format.h"
#include "comm/cuda/peer_memory.h"
#include "device/device.h"

namespace braid::comm {

class CopyEngineGroup {
 public:
  // `arena`: this rank's workspace, of equal size on all ranks; operands of collectives lie in it,
  // at equal offsets on all ranks. `device` and `arena` must outlive this.
  static Result<std::unique_ptr<CopyEngineGroup>> create(device::Device& device, std::byte* arena,
                                                         int64_t arena_bytes,
                                                         ControlPlane& control);

  // Scratch bytes of an all_reduce of `elements`.
  static int64_t scratch_bytes(int64_t elements, Format format, int ranks);

  // out = Σ_r in_r, in the order of ranks, in float32, rounded once. All ranks enqueue the same
  // collectives in the same order, all of one rank on one stream. Can be captured.
  Status all_reduce(const void* in, void* out, void* scratch, int64_t elements, Format format,
                    cudaStream_t stream);

 private:
  enum Signal : int { ready, parts_are_here, sums_are_here, kNumSignals };

  CopyEngineGroup(int rank, int size) : rank_(rank), size_(size) {}
  // Word of `signal` that `from` writes and this rank awaits.
  uint32_t* word(Signal signal, int from) const;
  // Tells all peers, and waits until all have told this rank.
  Status meet(Signal signal, cudaStream_t stream);
  // The peers of this rank, each rank beginning with another one.
  int peer(int turn) const { return (rank_ + turn) % size_; }

  int rank_;
  int size_;
  PeerMemory arena_;
  device::Memory words_;  // u32 [kNumSignals, ranks]: 1 when told; whoever awaits sets it back
  PeerMemory shared_words_;
};

}  // namespace braid::comm

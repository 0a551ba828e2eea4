// What the GPUs of a host share: every rank's workspace, and words by which their streams meet.
#pragma once

#include <cuda_runtime_api.h>

#include <memory>
#include <span>

#include "comm/cuda/peer_memory.h"
#include "comm/members.h"
#include "device/device.h"

namespace braid::comm {

// Most members of a group that meets by words.
inline constexpr int kMostPeers = 16;

class PeerWorkspace {
 public:
  // `arena`: this rank's workspace; those of other ranks may be larger or smaller. Every rank calls
  // this at the same point. `device` and `arena` must outlive it, and it what is made of it.
  static Result<std::unique_ptr<PeerWorkspace>> share(device::Device& device, std::byte* arena,
                                                      int64_t bytes, ControlPlane& control);

  const PeerMemory& arena() const { return arena_; }
  const PeerMemory& words() const { return shared_words_; }
  // So many words of this rank, all zero, for this caller alone. All ranks take equally many in the
  // same order, so that their words lie at equal places.
  Result<uint32_t*> take_words(int64_t count);

 private:
  PeerWorkspace() = default;

  PeerMemory arena_;
  device::Memory words_;
  PeerMemory shared_words_;
  int64_t taken_ = 0;
};

// The words of a group: this rank's memory has one word for each pair of a signal and a peer.
//
// Why no signal is lost, in replays of a graph either:
// 1. A word is 0 until its peer writes a number to send the signal.
// 2. This rank waits until the word is not 0, and then sets it to 0.
// 3. This rank sends a signal of its own after that, on the same stream.
// 4. The peer writes the word again only after it has received that later signal. So it never
//    writes over a number that this rank has not read.
// What a member did on its stream before it sends a signal is visible to those who wait for the
// signal, because the word is written after a fence of the whole system.
class PeerWords {
 public:
  // `unsupported` for more members than kMostPeers. Every member calls it at the same point.
  static Result<PeerWords> create(PeerWorkspace& workspace, const Members& members, int signals);

  const Members& members() const { return members_; }
  // Word of `signal` that member `from` writes and this rank awaits.
  uint32_t* word(int signal, int from) const { return words_ + signal * members_.size() + from; }

  // Tells all peers by `signal`, waits until all have told this rank, and sets the words back.
  Status meet(int signal, cudaStream_t stream) const;
  // The same with numbers from 1 to 2³¹ − 1: values[i] by signal i. The peers' numbers stay in the
  // words, for kernels to read, until clear_and_meet() sets back the first `count` signals' words
  // and then meets by another.
  Status exchange(std::span<const uint32_t> values, cudaStream_t stream) const;
  Status clear_and_meet(int count, int signal, cudaStream_t stream) const;

 private:
  class Batch;

  Status meet(int signal, Batch& batch) const;
  uint32_t* theirs(int member, int signal) const;

  const PeerMemory* shared_ = nullptr;
  Members members_;
  uint32_t* words_ = nullptr;  // u32 [signals, members]
};

}  // namespace braid::comm

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
  // So many words of this rank, all zero, that nobody else has. All ranks take equally many in the
  // same order, so that their words lie at equal places.
  Result<uint32_t*> take_words(int64_t count);

 private:
  PeerWorkspace() = default;

  PeerMemory arena_;
  device::Memory words_;
  PeerMemory shared_words_;
  int64_t taken_ = 0;
};

// The words of a group: for each of a number of signals one that every peer writes in this rank's
// memory. A word is 0 until its writer tells something and is set back by this rank, which awaited
// it. Its writer writes it again only behind a later signal of this rank in the same stream, so
// that nothing is lost, in replays neither. What a member does on its stream before it tells
// something is visible to who awaits that: a word is written behind a fence of the whole system.
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

#include "comm/cuda/peer_workspace.h"

#include <vector>

#include "base/inline_vector.h"
#include "device/cuda/stream_memory.h"

namespace braid::comm {
namespace {

// A whole page of the driver's: handles of less share what else lies in it.
constexpr int64_t kWordBytes = int64_t{2} << 20;
constexpr auto kWords = static_cast<int64_t>(kWordBytes / sizeof(uint32_t));

}  // namespace

Result<std::unique_ptr<PeerWorkspace>> PeerWorkspace::share(device::Device& device,
                                                            std::byte* arena, int64_t bytes,
                                                            ControlPlane& control) {
  std::unique_ptr<PeerWorkspace> workspace(new PeerWorkspace);
  workspace->words_ = TRY(device.allocate(kWordBytes));
  const std::vector<uint32_t> zeros(kWords, 0);
  device.upload(workspace->words_.data(), zeros.data(), kWordBytes);
  workspace->shared_words_ = TRY(PeerMemory::share(workspace->words_.data(), kWordBytes, control));
  workspace->arena_ = TRY(PeerMemory::share(arena, bytes, control));
  return workspace;
}

Result<uint32_t*> PeerWorkspace::take_words(int64_t count) {
  if (taken_ + count > kWords) {
    return Error(ErrorKind::internal, "the groups of ranks have no words left to meet by")
        .with("words", kWords);
  }
  auto* first = reinterpret_cast<uint32_t*>(words_.data()) + taken_;
  taken_ += count;
  return first;
}

// Word operations, enqueued as many at once as can be.
class PeerWords::Batch {
 public:
  explicit Batch(cudaStream_t stream) : stream_(stream) {}

  Status add(const device::WordOp& op) {
    if (ops_.size() == device::kMaxWordOps) TRY(flush());
    ops_.push_back(op);
    return {};
  }
  Status flush() {
    if (ops_.empty()) return {};
    Status status = device::word_ops(stream_, {ops_.begin(), ops_.size()});
    ops_.clear();
    return status;
  }

 private:
  cudaStream_t stream_;
  InlineVector<device::WordOp, device::kMaxWordOps> ops_;
};

Result<PeerWords> PeerWords::create(PeerWorkspace& workspace, const Members& members, int signals) {
  if (members.size() > kMostPeers) {
    return Error(ErrorKind::unsupported, "streams of at most 16 GPUs of one host meet by words")
        .with("ranks", members.size())
        .remedy("Use NCCL.");
  }
  PeerWords words;
  words.shared_ = &workspace.words();
  words.members_ = members;
  words.words_ = TRY(workspace.take_words(int64_t{signals} * members.size()));
  return words;
}

uint32_t* PeerWords::theirs(int member, int signal) const {
  const int32_t rank = members_.ranks[static_cast<size_t>(member)];
  return reinterpret_cast<uint32_t*>(shared_->at(rank, word(signal, members_.index)));
}

Status PeerWords::meet(int signal, Batch& batch) const {
  for (int turn = 1; turn < members_.size(); ++turn) {
    TRY(batch.add({device::WordOp::write, theirs(members_.peer(turn), signal), 1}));
  }
  for (int turn = 1; turn < members_.size(); ++turn) {
    uint32_t* told = word(signal, members_.peer(turn));
    TRY(batch.add({device::WordOp::await, told, 1}));
    TRY(batch.add({device::WordOp::write, told, 0}));
  }
  return batch.flush();
}

Status PeerWords::meet(int signal, cudaStream_t stream) const {
  Batch batch(stream);
  return meet(signal, batch);
}

// Waits for every word by itself: that the second of two writes is visible does not promise that
// the first one is.
Status PeerWords::exchange(std::span<const uint32_t> values, cudaStream_t stream) const {
  Batch batch(stream);
  const int count = static_cast<int>(values.size());
  for (int turn = 1; turn < members_.size(); ++turn) {
    for (int signal = 0; signal < count; ++signal) {
      TRY(batch.add({device::WordOp::write, theirs(members_.peer(turn), signal),
                     values[static_cast<size_t>(signal)]}));
    }
  }
  for (int turn = 1; turn < members_.size(); ++turn) {
    for (int signal = 0; signal < count; ++signal) {
      TRY(batch.add({device::WordOp::await_least, word(signal, members_.peer(turn)), 1}));
    }
  }
  return batch.flush();
}

Status PeerWords::clear_and_meet(int count, int signal, cudaStream_t stream) const {
  Batch batch(stream);
  for (int turn = 1; turn < members_.size(); ++turn) {
    for (int told = 0; told < count; ++told) {
      TRY(batch.add({device::WordOp::write, word(told, members_.peer(turn)), 0}));
    }
  }
  return meet(signal, batch);
}

}  // namespace braid::comm

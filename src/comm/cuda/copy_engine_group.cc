#include "comm/cuda/copy_engine_group.h"

#include <vector>

#include "base/inline_vector.h"
#include "comm/cuda/sum_parts.h"
#include "device/cuda/cuda_error.h"
#include "device/cuda/stream_memory.h"

namespace braid::comm {
namespace {

constexpr int64_t kAlignment = 128;   // elements: slices begin at multiples of it
constexpr int64_t kPackElements = 8;  // what sum_parts() adds at once

// Elements [first, first + count) that rank `rank` adds up.
struct Slice {
  int64_t first = 0;
  int64_t count = 0;
};

int64_t slice_capacity(int64_t elements, int ranks) {
  return (elements + ranks * kAlignment - 1) / (ranks * kAlignment) * kAlignment;
}

Slice slice_of(int rank, int64_t elements, int ranks) {
  const int64_t capacity = slice_capacity(elements, ranks);
  const int64_t first = std::min(rank * capacity, elements);
  return {first, std::min(capacity, elements - first)};
}

Result<PartFormat> part_format(Format format) {
  if (format == Format::f32) return PartFormat::f32;
  if (format == Format::bf16) return PartFormat::bf16;
  return Error(ErrorKind::unsupported, "sums over ranks are of f32 or bf16")
      .with("format", name_of(format));
}

template <typename T>
T* advance(T* data, int64_t bytes);
template <>
const void* advance(const void* data, int64_t bytes) {
  return static_cast<const std::byte*>(data) + bytes;
}
template <>
void* advance(void* data, int64_t bytes) {
  return static_cast<std::byte*>(data) + bytes;
}

}  // namespace

Result<std::unique_ptr<CopyEngineGroup>> CopyEngineGroup::create(device::Device& device,
                                                                 std::byte* arena,
                                                                 int64_t arena_bytes,
                                                                 ControlPlane& control) {
  if (control.size() > kMaxParts) {
    return Error(ErrorKind::unsupported, "copy engines join at most 16 GPUs of one host")
        .with("ranks", control.size())
        .remedy("Use NCCL.");
  }
  std::unique_ptr<CopyEngineGroup> group(new CopyEngineGroup(control.rank(), control.size()));
  const size_t words = size_t{kNumSignals} * static_cast<size_t>(control.size());
  const auto bytes = static_cast<int64_t>(words * sizeof(uint32_t));
  group->words_ = TRY(device.allocate(bytes));
  const std::vector<uint32_t> zeros(words, 0);
  device.upload(group->words_.data(), zeros.data(), bytes);
  group->shared_words_ = TRY(PeerMemory::share(group->words_.data(), bytes, control));
  group->arena_ = TRY(PeerMemory::share(arena, arena_bytes, control));
  return group;
}

int64_t CopyEngineGroup::scratch_bytes(int64_t elements, Format format, int ranks) {
  return (ranks - 1) * slice_capacity(elements, ranks) * bytes_of(format);
}

uint32_t* CopyEngineGroup::word(Signal signal, int from) const {
  return reinterpret_cast<uint32_t*>(words_.data()) + signal * size_ + from;
}

// A word is set back by whoever awaited it. Its writer writes it again only behind a later signal
// of this rank in the same stream, so that nothing is lost.
Status CopyEngineGroup::meet(Signal signal, cudaStream_t stream) {
  InlineVector<device::WordOp, device::kMaxWordOps> ops;
  for (int turn = 1; turn < size_; ++turn) {
    std::byte* theirs = shared_words_.at(peer(turn), word(signal, rank_));
    ops.push_back({device::WordOp::write, reinterpret_cast<uint32_t*>(theirs), 1});
  }
  for (int turn = 1; turn < size_; ++turn) {
    ops.push_back({device::WordOp::await, word(signal, peer(turn)), 1});
    ops.push_back({device::WordOp::write, word(signal, peer(turn)), 0});
  }
  return device::word_ops(stream, {ops.begin(), ops.size()});
}

Status CopyEngineGroup::all_reduce(const void* in, void* out, void* scratch, int64_t elements,
                                   Format format, cudaStream_t stream) {
  const int64_t width = bytes_of(format);
  const int64_t capacity = slice_capacity(elements, size_) * width;
  if (!arena_.holds(out, elements * width) ||
      !arena_.holds(scratch, scratch_bytes(elements, format, size_))) {
    return Error(ErrorKind::internal, "operands of a collective lie outside the shared workspace");
  }
  if (elements % kPackElements != 0) {
    return Error(ErrorKind::internal, "sums by copy engines take whole packs of elements")
        .with("elements", elements);
  }
  const Slice mine = slice_of(rank_, elements, size_);
  const auto copy = [&](void* to, const void* from, int64_t count) -> Status {
    if (count == 0) return {};
    CUDA_TRY(cudaMemcpyAsync(to, from, static_cast<size_t>(count * width), cudaMemcpyDeviceToDevice,
                             stream));
    return {};
  };
  // Nobody writes here before this rank has come as far.
  TRY(meet(ready, stream));
  // Each slice goes to the rank that adds it up; scratch has a place for every other rank.
  for (int turn = 1; turn < size_; ++turn) {
    const int to = peer(turn);
    const Slice slice = slice_of(to, elements, size_);
    const int64_t place = rank_ < to ? rank_ : rank_ - 1;
    TRY(copy(arena_.at(to, advance(scratch, place * capacity)), advance(in, slice.first * width),
             slice.count));
  }
  TRY(meet(parts_are_here, stream));
  Parts parts{.data = {}, .count = size_};
  for (int rank = 0; rank < size_; ++rank) {
    const int64_t place = rank < rank_ ? rank : rank - 1;
    parts.data[rank] =
        rank == rank_ ? advance(in, mine.first * width) : advance(scratch, place * capacity);
  }
  void* sums = advance(out, mine.first * width);
  sum_parts(parts, sums, mine.count, TRY(part_format(format)), stream);
  CUDA_TRY(cudaGetLastError());
  for (int turn = 1; turn < size_; ++turn) {
    const int to = peer(turn);
    TRY(copy(arena_.at(to, sums), sums, mine.count));
  }
  return meet(sums_are_here, stream);
}

}  // namespace braid::comm

#include "comm/cuda/copy_engine_group.h"

#include <algorithm>

#include "comm/cuda/sum_parts.h"
#include "device/cuda/cuda_error.h"

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

Result<std::unique_ptr<CopyEngineGroup>> CopyEngineGroup::create(PeerWorkspace& workspace,
                                                                 const Members& members) {
  static_assert(kMostPeers <= kMaxParts);
  PeerWords words = TRY(PeerWords::create(workspace, members, kNumSignals));
  return std::unique_ptr<CopyEngineGroup>(new CopyEngineGroup(workspace.arena(), std::move(words)));
}

int64_t CopyEngineGroup::scratch_bytes(int64_t elements, Format format, int ranks) {
  return (ranks - 1) * slice_capacity(elements, ranks) * bytes_of(format);
}

bool CopyEngineGroup::all_hold(const void* mine, int64_t bytes) const {
  const std::vector<int32_t>& ranks = words_.members().ranks;
  return std::all_of(ranks.begin(), ranks.end(),
                     [&](int32_t rank) { return arena_.holds(rank, mine, bytes); });
}

Status CopyEngineGroup::all_reduce(const void* in, void* out, void* scratch, int64_t elements,
                                   Format format, cudaStream_t stream) {
  const int64_t width = bytes_of(format);
  const int64_t capacity = slice_capacity(elements, size_) * width;
  if (!all_hold(out, elements * width) ||
      !all_hold(scratch, scratch_bytes(elements, format, size_))) {
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
  // No peer writes here before this rank has come to this point.
  TRY(words_.meet(ready, stream));
  // Each slice goes to the rank that adds it up; scratch has a place for every other rank.
  for (int turn = 1; turn < size_; ++turn) {
    const int to = peer(turn);
    const Slice slice = slice_of(to, elements, size_);
    const int64_t place = rank_ < to ? rank_ : rank_ - 1;
    TRY(copy(at(to, advance(scratch, place * capacity)), advance(in, slice.first * width),
             slice.count));
  }
  TRY(words_.meet(parts_are_here, stream));
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
    TRY(copy(at(to, sums), sums, mine.count));
  }
  return words_.meet(sums_are_here, stream);
}

}  // namespace braid::comm

#include "comm/cuda/peer_memory.h"

#include <cstring>

#include "device/cuda/cuda_error.h"

namespace braid::comm {
namespace {

struct Shared {
  cudaIpcMemHandle_t handle;
  int64_t bytes = 0;
};

Status open(const Shared& shared, int rank, std::byte** base) {
  void* address = nullptr;
  const cudaError_t code =
      cudaIpcOpenMemHandle(&address, shared.handle, cudaIpcMemLazyEnablePeerAccess);
  if (code != cudaSuccess) {
    (void)cudaGetLastError();
    return Error(ErrorKind::unsupported, "this GPU cannot reach another one's memory")
        .with("rank", rank)
        .with("error", cudaGetErrorString(code))
        .remedy("Copy engines need GPUs that are peers, in processes that see each other's GPUs.");
  }
  *base = static_cast<std::byte*>(address);
  return {};
}

}  // namespace

Result<PeerMemory> PeerMemory::share(std::byte* base, int64_t bytes, ControlPlane& control) {
  PeerMemory memory;
  memory.rank_ = control.rank();
  Shared mine{.bytes = bytes};
  if (control.size() > 1) CUDA_TRY(cudaIpcGetMemHandle(&mine.handle, base));
  const auto all = TRY(control.all_gather({reinterpret_cast<const char*>(&mine), sizeof(mine)}));
  memory.bases_.resize(all.size());
  memory.bytes_.resize(all.size());
  for (size_t rank = 0; rank < all.size(); ++rank) {
    Shared other;
    if (all[rank].size() != sizeof(other)) {
      return Error(ErrorKind::internal, "ranks share memory in different ways");
    }
    std::memcpy(&other, all[rank].data(), sizeof(other));
    memory.bytes_[rank] = other.bytes;
    if (static_cast<int>(rank) == memory.rank_) {
      memory.bases_[rank] = base;
    } else {
      TRY(open(other, static_cast<int>(rank), &memory.bases_[rank]));
    }
  }
  return memory;
}

PeerMemory& PeerMemory::operator=(PeerMemory&& other) noexcept {
  std::swap(rank_, other.rank_);
  std::swap(bytes_, other.bytes_);
  std::swap(bases_, other.bases_);
  return *this;
}

PeerMemory::~PeerMemory() {
  for (size_t rank = 0; rank < bases_.size(); ++rank) {
    if (static_cast<int>(rank) != rank_ && bases_[rank] != nullptr) {
      cudaIpcCloseMemHandle(bases_[rank]);
    }
  }
}

}  // namespace braid::comm

// For tests of ranks as processes, one a GPU.
#pragma once

#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <utility>

#include "comm/cuda/peer_workspace.h"
#include "device/cuda/cuda_device.h"
#include "device/cuda/cuda_error.h"
#include "device/cuda/cuda_queue.h"

namespace braid::comm::testing {

// Without asking CUDA: a process that has done so cannot fork ranks.
inline int num_gpus() {
  int count = 0;
  while (std::filesystem::exists(fmt::format("/dev/nvidia{}", count))) ++count;
  return count;
}

// One rank with a queue and a workspace that it shares.
struct GpuRank {
  std::unique_ptr<device::CudaDevice> device;
  std::unique_ptr<device::CudaQueue> queue;
  device::Memory arena;
  std::unique_ptr<PeerWorkspace> workspace;
  int rank = 0;
  int size = 0;

  static Result<GpuRank> open(ControlPlane& control, int64_t arena_bytes) {
    GpuRank rank;
    rank.rank = control.rank();
    rank.size = control.size();
    rank.device = TRY(device::CudaDevice::open(control.rank()));
    rank.queue = TRY(device::CudaQueue::create(/*high_priority=*/true));
    rank.arena = TRY(rank.device->allocate(arena_bytes));
    rank.workspace =
        TRY(PeerWorkspace::share(*rank.device, rank.arena.data(), arena_bytes, control));
    return rank;
  }

  Members all() const { return Members::all(size, rank); }
  cudaStream_t stream() const { return queue->stream(); }
  Status wait() const {
    CUDA_TRY(cudaStreamSynchronize(stream()));
    return {};
  }

  // A graph of what `enqueue` puts on the stream.
  template <typename Enqueue>
  Result<cudaGraphExec_t> capture(const Enqueue& enqueue) const {
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t executable = nullptr;
    CUDA_TRY(cudaStreamBeginCapture(stream(), cudaStreamCaptureModeThreadLocal));
    TRY(enqueue());
    CUDA_TRY(cudaStreamEndCapture(stream(), &graph));
    CUDA_TRY(cudaGraphInstantiate(&executable, graph, 0));
    CUDA_TRY(cudaGraphDestroy(graph));
    return executable;
  }
};

}  // namespace braid::comm::testing

// The device's side of a lane: what kernels are enqueued on.
#pragma once

namespace braid::device {

// On CUDA a stream with its own cuBLASLt handle and workspace (cuda/cuda_queue.h). The CPU has
// none: a lane's thread runs its kernels itself.
class Queue {
 public:
  virtual ~Queue() = default;
};

}  // namespace braid::device

// Uploads to a GPU: two pinned buffers in turn, and a stream of their own.
#pragma once

#include <array>
#include <memory>

#include "device/cuda/cuda_queue.h"
#include "device/device.h"

namespace braid::device {

class CudaUploads final : public Uploads {
 public:
  // Makes GPU `gpu` the current one of the calling thread.
  static Result<std::unique_ptr<Uploads>> open(int gpu, int64_t piece_bytes);
  ~CudaUploads() override;

  Result<std::byte*> stage(std::byte* to, int64_t bytes) override;
  Status send() override;
  Queue* queue() override { return queue_.get(); }
  Status finish() override;

 private:
  struct Piece {
    void* pinned = nullptr;      // allocated when it is first used
    cudaEvent_t sent = nullptr;  // its last copy
  };

  explicit CudaUploads(int64_t piece_bytes) : piece_bytes_(piece_bytes) {}

  int64_t piece_bytes_;
  std::unique_ptr<CudaQueue> queue_;
  std::array<Piece, 2> pieces_;
  size_t current_ = 0;  // of pieces_: the one that is staged next
  std::byte* to_ = nullptr;
  int64_t bytes_ = 0;
};

}  // namespace braid::device

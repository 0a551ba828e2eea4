#include "device/cuda/cuda_uploads.h"

#include "device/cuda/cuda_error.h"

namespace braid::device {

Result<std::unique_ptr<Uploads>> CudaUploads::open(int gpu, int64_t piece_bytes) {
  CUDA_TRY(cudaSetDevice(gpu));
  std::unique_ptr<CudaUploads> uploads(new CudaUploads(piece_bytes));
  uploads->queue_ = TRY(CudaQueue::create_without_blas());
  return std::unique_ptr<Uploads>(std::move(uploads));
}

CudaUploads::~CudaUploads() {
  if (queue_ != nullptr) cudaStreamSynchronize(queue_->stream());
  for (const Piece& piece : pieces_) {
    if (piece.sent != nullptr) cudaEventDestroy(piece.sent);
    if (piece.pinned != nullptr) cudaFreeHost(piece.pinned);
  }
}

Result<std::byte*> CudaUploads::stage(std::byte* to, int64_t bytes) {
  BRAID_CHECK(bytes <= piece_bytes_, "({} bytes, in pieces of {})", bytes, piece_bytes_);
  Piece& piece = pieces_[current_];
  if (piece.pinned == nullptr) {
    CUDA_TRY(cudaMallocHost(&piece.pinned, static_cast<size_t>(piece_bytes_)));
    CUDA_TRY(cudaEventCreateWithFlags(&piece.sent, cudaEventDisableTiming));
  } else {
    CUDA_TRY(cudaEventSynchronize(piece.sent));
  }
  to_ = to;
  bytes_ = bytes;
  return static_cast<std::byte*>(piece.pinned);
}

Status CudaUploads::send() {
  const Piece& piece = pieces_[current_];
  CUDA_TRY(cudaMemcpyAsync(to_, piece.pinned, static_cast<size_t>(bytes_), cudaMemcpyHostToDevice,
                           queue_->stream()));
  CUDA_TRY(cudaEventRecord(piece.sent, queue_->stream()));
  current_ = 1 - current_;
  return {};
}

Status CudaUploads::finish() {
  CUDA_TRY(cudaGetLastError());  // of kernels that could not be launched
  CUDA_TRY(cudaStreamSynchronize(queue_->stream()));
  return {};
}

}  // namespace braid::device

// A CUDA stream as a lane's queue.
#pragma once

#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include <memory>

#include "base/status.h"
#include "device/queue.h"

namespace braid::device {

// A stream with a cuBLASLt handle and workspace that no other lane uses.
class CudaQueue final : public Queue {
 public:
  // Workspace of cuBLASLt: what its documentation advises for Hopper.
  static constexpr size_t kBlasWorkspaceBytes = size_t{32} << 20;

  // On the current device. `high_priority`: its kernels' blocks go before those of other queues.
  static Result<std::unique_ptr<CudaQueue>> create(bool high_priority);
  // A stream alone, for copies and for kernels that aren't cuBLASLt's.
  static Result<std::unique_ptr<CudaQueue>> create_without_blas();
  ~CudaQueue() override;

  cudaStream_t stream() const { return stream_; }
  // How the kernel that is enqueued next stands to the one before it on this stream, which the
  // executor says before each op (kernels/cuda/kernel_stream.h has the meaning).
  struct NextKernel {
    bool follows = false;
    bool constant_weights = false;
  };
  NextKernel next_kernel() const { return next_kernel_; }
  void set_next_kernel(NextKernel next) { next_kernel_ = next; }

  cublasLtHandle_t blas() const { return blas_; }
  void* blas_workspace() const { return blas_workspace_; }
  int num_sms() const { return num_sms_; }

 private:
  CudaQueue() = default;
  Status open_stream(bool high_priority);

  cudaStream_t stream_ = nullptr;
  cublasLtHandle_t blas_ = nullptr;
  void* blas_workspace_ = nullptr;
  int num_sms_ = 0;  // of its GPU
  NextKernel next_kernel_;
};

}  // namespace braid::device

#include "device/cuda/cuda_queue.h"

#include "device/cuda/cuda_error.h"

namespace braid::device {

Status CudaQueue::open_stream(bool high_priority) {
  int least = 0;
  int greatest = 0;
  CUDA_TRY(cudaDeviceGetStreamPriorityRange(&least, &greatest));
  CUDA_TRY(cudaStreamCreateWithPriority(&stream_, cudaStreamNonBlocking,
                                        high_priority ? greatest : least));
  int device = 0;
  CUDA_TRY(cudaGetDevice(&device));
  CUDA_TRY(cudaDeviceGetAttribute(&num_sms_, cudaDevAttrMultiProcessorCount, device));
  return {};
}

Result<std::unique_ptr<CudaQueue>> CudaQueue::create_without_blas() {
  std::unique_ptr<CudaQueue> queue(new CudaQueue);
  TRY(queue->open_stream(/*high_priority=*/false));
  return queue;
}

Result<std::unique_ptr<CudaQueue>> CudaQueue::create(bool high_priority) {
  std::unique_ptr<CudaQueue> queue(new CudaQueue);
  TRY(queue->open_stream(high_priority));
  CUDA_TRY(cublasLtCreate(&queue->blas_));
  CUDA_TRY(cudaMalloc(&queue->blas_workspace_, kBlasWorkspaceBytes));
  return queue;
}

CudaQueue::~CudaQueue() {
  if (blas_workspace_ != nullptr) cudaFree(blas_workspace_);
  if (blas_ != nullptr) cublasLtDestroy(blas_);
  if (stream_ != nullptr) cudaStreamDestroy(stream_);
}

}  // namespace braid::device

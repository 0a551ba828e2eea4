#include "device/cuda/cuda_error.h"

namespace braid::device {

Status cuda_status(cudaError_t code, std::string_view call) {
  if (code == cudaSuccess) return {};
  const bool memory = code == cudaErrorMemoryAllocation;
  return Error(memory ? ErrorKind::exhausted : ErrorKind::fault, "a CUDA call failed")
      .with("call", call)
      .with("error", cudaGetErrorString(code));
}

Status cuda_status(cublasStatus_t code, std::string_view call) {
  if (code == CUBLAS_STATUS_SUCCESS) return {};
  return Error(ErrorKind::fault, "a cuBLASLt call failed")
      .with("call", call)
      .with("error", cublasLtGetStatusString(code));
}

}  // namespace braid::device

// Errors of the CUDA libraries as Status, with the call that failed.
#pragma once

#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include <string_view>

#include "base/status.h"

namespace braid::device {

Status cuda_status(cudaError_t code, std::string_view call);
Status cuda_status(cublasStatus_t code, std::string_view call);

}  // namespace braid::device

// Returns the error of a CUDA call from the enclosing function.
#define CUDA_TRY(call) TRY(::braid::device::cuda_status((call), #call))

// For calls that fail only when braid itself is wrong: kernel launches, above all.
#define CUDA_CHECK(call)                                                            \
  do {                                                                              \
    const ::braid::Status cuda_check = ::braid::device::cuda_status((call), #call); \
    if (!cuda_check.ok()) ::braid::die(__FILE__, __LINE__, cuda_check.to_string()); \
  } while (false)

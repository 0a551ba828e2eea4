#include "device/cuda/driver.h"

#include "device/cuda/cuda_error.h"

namespace braid::device {

Result<void*> find_driver_function(const char* name) {
  constexpr unsigned int kVersion = 12000;  // of the driver's interface whose calls are meant
  void* found = nullptr;
  cudaDriverEntryPointQueryResult result{};
  CUDA_TRY(cudaGetDriverEntryPointByVersion(name, &found, kVersion, cudaEnableDefault, &result));
  if (result == cudaDriverEntryPointSuccess) return found;
  return Error(ErrorKind::unsupported, "the GPU's driver lacks a function")
      .with("function", name)
      .remedy("Update the driver.");
}

}  // namespace braid::device

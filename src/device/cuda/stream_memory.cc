#include "device/cuda/stream_memory.h"

#include <cuda.h>

#include "device/cuda/cuda_error.h"

namespace braid::device {
namespace {

// The driver's functions, found at run time: braid does not link the driver's library.
struct Driver {
  using WordCall = CUresult (*)(CUstream, CUdeviceptr, cuuint32_t, unsigned int);
  WordCall write = nullptr;
  WordCall wait = nullptr;
  Status status;

  Driver() {
    status = find("cuStreamWriteValue32", &write);
    if (status.ok()) status = find("cuStreamWaitValue32", &wait);
  }

 private:
  static Status find(const char* name, WordCall* call) {
    void* found = nullptr;
    cudaDriverEntryPointQueryResult result{};
    // 12000: the version of the driver's interface whose form of the call is meant.
    CUDA_TRY(cudaGetDriverEntryPointByVersion(name, &found, 12000, cudaEnableDefault, &result));
    if (result != cudaDriverEntryPointSuccess) {
      return Error(ErrorKind::unsupported, "the GPU's driver lacks a function")
          .with("function", name)
          .remedy("Update the driver.");
    }
    *call = reinterpret_cast<WordCall>(found);
    return {};
  }
};

const Driver& driver() {
  static const Driver instance;
  return instance;
}

Status word_status(CUresult code, std::string_view call) {
  if (code == CUDA_SUCCESS) return {};
  return Error(ErrorKind::fault, "a stream memory operation failed")
      .with("call", call)
      .with("code", static_cast<int>(code));
}

}  // namespace

Status write_word(cudaStream_t stream, uint32_t* word, uint32_t value) {
  TRY(driver().status);
  return word_status(driver().write(stream, reinterpret_cast<CUdeviceptr>(word), value,
                                    CU_STREAM_WRITE_VALUE_DEFAULT),
                     "cuStreamWriteValue32");
}

Status await_word(cudaStream_t stream, uint32_t* word, uint32_t value) {
  TRY(driver().status);
  return word_status(
      driver().wait(stream, reinterpret_cast<CUdeviceptr>(word), value, CU_STREAM_WAIT_VALUE_EQ),
      "cuStreamWaitValue32");
}

}  // namespace braid::device

// A CUDA event: a point in a stream that others wait for, or a time stamp.
#pragma once

#include <cuda_runtime_api.h>

#include <utility>

#include "device/cuda/cuda_error.h"

namespace braid::device {

class CudaEvent {
 public:
  CudaEvent() = default;
  // `timed`: also says when it was reached.
  static Result<CudaEvent> create(bool timed = false) {
    CudaEvent event;
    CUDA_TRY(
        cudaEventCreateWithFlags(&event.event_, timed ? cudaEventDefault : cudaEventDisableTiming));
    return event;
  }
  CudaEvent(CudaEvent&& other) noexcept : event_(std::exchange(other.event_, nullptr)) {}
  CudaEvent& operator=(CudaEvent&& other) noexcept {
    std::swap(event_, other.event_);
    return *this;
  }
  ~CudaEvent() {
    if (event_ != nullptr) cudaEventDestroy(event_);
  }

  cudaEvent_t get() const { return event_; }

 private:
  cudaEvent_t event_ = nullptr;
};

}  // namespace braid::device

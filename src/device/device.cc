#include "device/device.h"

namespace braid::device {

Memory& Memory::operator=(Memory&& other) noexcept {
  if (this != &other) {
    if (data_ != nullptr) device_->release(data_, bytes_);
    device_ = std::exchange(other.device_, nullptr);
    data_ = std::exchange(other.data_, nullptr);
    bytes_ = std::exchange(other.bytes_, 0);
  }
  return *this;
}

Memory::~Memory() {
  if (data_ != nullptr) device_->release(data_, bytes_);
}

}  // namespace braid::device

// The CPU as a device: plain aligned memory.
#pragma once

#include "device/device.h"

namespace braid::device {

class CpuDevice final : public Device {
 public:
  // `unsupported` when this processor lacks the instructions that the kernels are compiled for.
  static Status check_processor();

  std::string_view name() const override { return "cpu"; }
  Result<Memory> allocate(int64_t bytes) override;
  void upload(std::byte* to, const void* from, int64_t bytes) override;
  void download(void* to, const std::byte* from, int64_t bytes) override;
  void fill(std::byte* to, uint8_t value, int64_t bytes) override;
  Result<std::unique_ptr<Uploads>> open_uploads(int64_t piece_bytes) override;

 protected:
  void release(std::byte* data, int64_t bytes) override;
};

}  // namespace braid::device

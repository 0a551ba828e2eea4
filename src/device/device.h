// A device's memory, as the floors above see it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/status.h"

namespace braid::device {

class Device;

// Owns a piece of device memory. Aligned to 256 bytes.
class Memory {
 public:
  Memory() = default;
  Memory(Device* device, std::byte* data, int64_t bytes)
      : device_(device), data_(data), bytes_(bytes) {}
  Memory(Memory&& other) noexcept { *this = std::move(other); }
  Memory& operator=(Memory&& other) noexcept;
  ~Memory();

  std::byte* data() const { return data_; }
  int64_t bytes() const { return bytes_; }

 private:
  Device* device_ = nullptr;
  std::byte* data_ = nullptr;
  int64_t bytes_ = 0;
};

class Device {
 public:
  virtual ~Device() = default;
  virtual std::string_view name() const = 0;

  // Uninitialised memory; `exhausted` with the size when there is none. The device must outlive it.
  virtual Result<Memory> allocate(int64_t bytes) = 0;
  // Synchronous copies between the host and this device's memory.
  virtual void upload(std::byte* to, const void* from, int64_t bytes) = 0;
  virtual void download(void* to, const std::byte* from, int64_t bytes) = 0;

 protected:
  friend class Memory;
  virtual void release(std::byte* data, int64_t bytes) = 0;
};

}  // namespace braid::device

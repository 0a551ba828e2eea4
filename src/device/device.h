// A device's memory, as the floors above see it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "base/status.h"
#include "device/queue.h"

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

// Fills a device's memory without waiting for each piece: the host writes one piece while the one
// before is on its way. Belongs to the thread that made it.
class Uploads {
 public:
  virtual ~Uploads() = default;

  // Where the host writes the `bytes` that send() brings to `to`, at most what it was made for: the
  // memory itself where the host reaches it, else pinned memory that is free again.
  virtual Result<std::byte*> stage(std::byte* to, int64_t bytes) = 0;
  virtual Status send() = 0;
  // Kernels that are launched on it run in order with what is sent. Null where the calling thread
  // itself does the work.
  virtual Queue* queue() = 0;
  // Waits until all is there.
  virtual Status finish() = 0;
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
  // Sets every byte to `value`; synchronous, too.
  virtual void fill(std::byte* to, uint8_t value, int64_t bytes) = 0;
  // Uploads of pieces of at most `piece_bytes`, for the calling thread. The device must outlive it.
  virtual Result<std::unique_ptr<Uploads>> open_uploads(int64_t piece_bytes) = 0;

 protected:
  friend class Memory;
  virtual void release(std::byte* data, int64_t bytes) = 0;
};

// Uploads into memory that the host reaches: it writes right there.
class HostUploads final : public Uploads {
 public:
  Result<std::byte*> stage(std::byte* to, int64_t /*bytes*/) override { return to; }
  Status send() override { return {}; }
  Queue* queue() override { return nullptr; }
  Status finish() override { return {}; }
};

}  // namespace braid::device

// One GPU: its memory, and pinned memory of the host.
#pragma once

#include <memory>
#include <string>

#include "device/device.h"

namespace braid::device {

class CudaDevice final : public Device {
 public:
  // How many GPUs there are; 0 without a driver.
  static int count();
  // Makes GPU `index` the current one of the calling thread. `not_found` when there is none.
  static Result<std::unique_ptr<CudaDevice>> open(int index);

  // Bytes of its memory that are not in use. Makes it the thread's current one, too.
  static Result<int64_t> free_bytes(int index);

  std::string_view name() const override { return name_; }
  int index() const { return index_; }
  int num_sms() const { return num_sms_; }

  Result<Memory> allocate(int64_t bytes) override;
  // Pinned memory of the host: the GPU copies from and to it without a detour, and can use it.
  Device& host() { return host_; }
  void upload(std::byte* to, const void* from, int64_t bytes) override;
  void download(void* to, const std::byte* from, int64_t bytes) override;
  void fill(std::byte* to, uint8_t value, int64_t bytes) override;
  Result<std::unique_ptr<Uploads>> open_uploads(int64_t piece_bytes) override;

 protected:
  void release(std::byte* data, int64_t bytes) override;

 private:
  // Pinned host memory, freed by another call than the device's.
  class HostMemory final : public Device {
   public:
    std::string_view name() const override { return "pinned host memory"; }
    Result<Memory> allocate(int64_t bytes) override;
    void upload(std::byte* to, const void* from, int64_t bytes) override;
    void download(void* to, const std::byte* from, int64_t bytes) override;
    void fill(std::byte* to, uint8_t value, int64_t bytes) override;
    Result<std::unique_ptr<Uploads>> open_uploads(int64_t piece_bytes) override;

   protected:
    void release(std::byte* data, int64_t bytes) override;
  };

  CudaDevice(int index, std::string name, int num_sms)
      : index_(index), name_(std::move(name)), num_sms_(num_sms) {}

  int index_;
  std::string name_;
  int num_sms_;
  HostMemory host_;
};

}  // namespace braid::device

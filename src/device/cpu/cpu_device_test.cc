#include "device/cpu/cpu_device.h"

#include <gtest/gtest.h>

#include <array>

namespace braid::device {
namespace {

TEST(CpuDeviceTest, AllocatesAligned) {
  CpuDevice device;
  EXPECT_EQ(device.name(), "cpu");
  for (const int64_t bytes : {0, 1, 100, 4096}) {
    const Memory memory = *device.allocate(bytes);
    EXPECT_EQ(memory.bytes(), bytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(memory.data()) % 256, 0u);
  }
}

TEST(CpuDeviceTest, SaysHowMuchItCouldNotAllocate) {
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "sanitizers stop at an allocation of this size";
#endif
  CpuDevice device;
  const auto memory = device.allocate(int64_t{1} << 60);
  ASSERT_FALSE(memory.ok());
  EXPECT_EQ(memory.error().kind(), ErrorKind::exhausted);
  EXPECT_EQ(memory.error().to_string(), "out of memory (bytes = 1152921504606846976)");
}

TEST(CpuDeviceTest, CopiesBothWays) {
  CpuDevice device;
  const Memory memory = *device.allocate(16);
  const std::array<int32_t, 4> from = {1, 2, 3, 4};
  std::array<int32_t, 4> to{};
  device.upload(memory.data(), from.data(), 16);
  device.download(to.data(), memory.data(), 16);
  EXPECT_EQ(from, to);
}

TEST(CpuDeviceTest, ThisProcessorRunsTheTests) { EXPECT_TRUE(CpuDevice::check_processor().ok()); }

// Counts what is given back.
class CountingDevice final : public Device {
 public:
  std::string_view name() const override { return "counting"; }
  Result<Memory> allocate(int64_t bytes) override {
    ++held;
    return Memory(this, new std::byte[static_cast<size_t>(bytes)], bytes);
  }
  void upload(std::byte*, const void*, int64_t) override {}
  void download(void*, const std::byte*, int64_t) override {}
  void fill(std::byte*, uint8_t, int64_t) override {}
  Result<std::unique_ptr<Uploads>> open_uploads(int64_t) override {
    return std::unique_ptr<Uploads>(std::make_unique<HostUploads>());
  }
  int held = 0;

 protected:
  void release(std::byte* data, int64_t) override {
    --held;
    delete[] data;
  }
};

TEST(MemoryTest, IsOwnedOnce) {
  CountingDevice device;
  {
    Memory first = *device.allocate(8);
    std::byte* data = first.data();
    Memory second = std::move(first);
    EXPECT_EQ(second.data(), data);
    EXPECT_EQ(first.data(), nullptr);  // NOLINT: moved from
    EXPECT_EQ(first.bytes(), 0);
    Memory third = *device.allocate(8);
    EXPECT_EQ(device.held, 2);
    third = std::move(second);  // gives back what it held
    EXPECT_EQ(device.held, 1);
    EXPECT_EQ(third.data(), data);
    Memory& self = third;
    third = std::move(self);
    EXPECT_EQ(third.data(), data);
  }
  EXPECT_EQ(device.held, 0);
}

}  // namespace
}  // namespace braid::device

#include "device/cuda/cuda_uploads.h"

#include <gtest/gtest.h>

#include <cstring>
#include <thread>
#include <vector>

#include "device/cuda/cuda_device.h"

namespace braid::device {
namespace {

constexpr int64_t kPieceBytes = int64_t{1} << 20;
constexpr int64_t kPieces = 33;

uint8_t value_of(int64_t index) { return static_cast<uint8_t>(index * 7 + index / 1000); }

// Every `step`th piece from `first` on; the last one is shorter.
Status send(CudaDevice& device, std::byte* to, int64_t first, int64_t step) {
  const std::unique_ptr<Uploads> uploads = TRY(device.open_uploads(kPieceBytes));
  for (int64_t piece = first; piece < kPieces; piece += step) {
    const int64_t begin = piece * kPieceBytes;
    const int64_t bytes = piece == kPieces - 1 ? 12345 : kPieceBytes;
    std::byte* staged = TRY(uploads->stage(to + begin, bytes));
    for (int64_t i = 0; i < bytes; ++i) staged[i] = static_cast<std::byte>(value_of(begin + i));
    TRY(uploads->send());
  }
  return uploads->finish();
}

// Pieces that are written while those before are on their way arrive whole, from several threads.
TEST(CudaUploadsTest, PiecesArriveFromSeveralThreads) {
  if (CudaDevice::count() == 0) GTEST_SKIP() << "no GPU";
  const auto device = std::move(CudaDevice::open(0)).value();
  const int64_t bytes = (kPieces - 1) * kPieceBytes + 12345;
  for (const int64_t threads : {1, 4}) {
    const Memory memory = device->allocate(bytes).value();
    device->fill(memory.data(), 0xee, bytes);
    std::vector<std::thread> all;
    std::vector<Status> sent(static_cast<size_t>(threads));
    for (int64_t i = 0; i < threads; ++i) {
      all.emplace_back(
          [&, i] { sent[static_cast<size_t>(i)] = send(*device, memory.data(), i, threads); });
    }
    for (std::thread& thread : all) thread.join();
    for (const Status& status : sent) EXPECT_TRUE(status.ok()) << status.to_string();
    std::vector<uint8_t> got(static_cast<size_t>(bytes));
    device->download(got.data(), memory.data(), bytes);
    for (int64_t i = 0; i < bytes; ++i) {
      ASSERT_EQ(got[static_cast<size_t>(i)], value_of(i)) << "byte " << i;
    }
  }
}

TEST(CudaUploadsTest, FillSetsEveryByte) {
  if (CudaDevice::count() == 0) GTEST_SKIP() << "no GPU";
  const auto device = std::move(CudaDevice::open(0)).value();
  for (Device* memory_of : {static_cast<Device*>(device.get()), &device->host()}) {
    const Memory memory = memory_of->allocate(1000).value();
    memory_of->fill(memory.data(), 0xff, 1000);
    memory_of->fill(memory.data(), 0x00, 10);
    std::vector<uint8_t> got(1000);
    memory_of->download(got.data(), memory.data(), 1000);
    for (size_t i = 0; i < got.size(); ++i) ASSERT_EQ(got[i], i < 10 ? 0x00 : 0xff) << i;
  }
}

}  // namespace
}  // namespace braid::device

#include "kernels/gemm/cuda/blas_pins.h"

#include <gtest/gtest.h>

#include "kernels/gemm/cuda/blas_config.h"
#include "kernels/gemm/cuda/gemm.h"

namespace braid::kernels::cuda {
namespace {

constexpr const char* kH200 = "NVIDIA H200";

// What a kernel of nothing but the reads of W and the products takes: on an H200, with the start of
// a kernel.
double least_microseconds(const BlasPin& pin) {
  constexpr double kBytesPerSecond = 4.55e12, kFlopPerSecond = 790e12, kStart = 2.0;
  const auto rows = static_cast<double>(pin.rows);
  const auto weights = static_cast<double>(pin.n * pin.k * pin.parts);
  const double bytes = 2 * weights + (pin.out == Format::f32 ? 4 : 2) * rows *
                                         static_cast<double>(pin.n * pin.parts);
  return kStart + 1e6 * std::max(bytes / kBytesPerSecond, 2 * rows * weights / kFlopPerSecond);
}

TEST(BlasPinsTest, NoneIsBelowHalfOfWhatTheGpuCanDo) {
  for (const DevicePins& device : blas_pins()) {
    ASSERT_EQ(device.device, "H200") << "least_microseconds() knows no other";
    for (const BlasPin& pin : device.pins) {
      EXPECT_LE(pin.microseconds, 2 * least_microseconds(pin)) << to_string(pin);
      EXPECT_GE(pin.microseconds, 0.9 * (least_microseconds(pin) - 2.0)) << to_string(pin);
    }
  }
}

TEST(BlasPinsTest, AreOfProductsThatAreAskedFor) {
  for (const DevicePins& device : blas_pins()) {
    for (const BlasPin& pin : device.pins) {
      const GemmShape shape{
          .n = pin.n, .k = pin.k * pin.parts, .out = pin.parts == 1 ? pin.out : Format::bf16};
      const GemmDesc desc{.tuned_rows = static_cast<int32_t>(pin.rows)};
      const BlasKey key = gemm_blas_key(desc, shape, pin.rows);
      EXPECT_EQ(find_blas_pin(kH200, key), &pin) << to_string(pin);
    }
  }
}

TEST(BlasPinsTest, AreOfOneDeviceAndOfAlignedBrains) {
  const BlasPin& pin = blas_pins().front().pins.front();
  const BlasKey key{.rows = pin.rows, .n = pin.n, .k = pin.k, .parts = pin.parts, .out = pin.out};
  EXPECT_EQ(find_blas_pin(kH200, key), &pin);
  EXPECT_EQ(find_blas_pin("NVIDIA H100 80GB HBM3", key), nullptr);
  BlasKey other = key;
  other.alignment = 8;
  EXPECT_EQ(find_blas_pin(kH200, other), nullptr);
  other = key;
  other.in = Format::f32;
  EXPECT_EQ(find_blas_pin(kH200, other), nullptr);
  other = key;
  other.n += 8;
  EXPECT_EQ(find_blas_pin(kH200, other), nullptr);
}

TEST(BlasPinsTest, ALineIsWhatTheTableHas) {
  const BlasPin pin{.rows = 64,
                    .n = 2048,
                    .k = 1024,
                    .parts = 4,
                    .out = Format::f32,
                    .algorithm = 66,
                    .tile = 16,
                    .stages = 35,
                    .cluster = 5,
                    .custom = 3,
                    .microseconds = 7.21};
  EXPECT_EQ(to_string(pin), "{64, 2048, 1024, 4, kF32, 66, 16, 35, 5, 0, 3, 7.2},");
}

}  // namespace
}  // namespace braid::kernels::cuda

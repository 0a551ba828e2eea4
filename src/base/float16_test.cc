#include "base/float16.h"

#include <gtest/gtest.h>

#include <cmath>

namespace braid {
namespace {

TEST(Float16Test, EveryHalfSurvivesTheRoundTrip) {
  for (uint32_t bits = 0; bits <= 0xffff; ++bits) {
    const f16 half{static_cast<uint16_t>(bits)};
    const float value = to_float(half);
    if (std::isnan(value)) continue;
    ASSERT_EQ(from_float<f16>(value).bits, bits) << value;
  }
}

TEST(Float16Test, EveryBfloat16SurvivesTheRoundTrip) {
  for (uint32_t bits = 0; bits <= 0xffff; ++bits) {
    const bf16 brain{static_cast<uint16_t>(bits)};
    const float value = to_float(brain);
    if (std::isnan(value)) continue;
    ASSERT_EQ(from_float<bf16>(value).bits, bits) << value;
  }
}

TEST(Float16Test, KnownValues) {
  EXPECT_EQ(to_float(f16{0x3c00}), 1.0f);
  EXPECT_EQ(to_float(f16{0x0001}), std::ldexp(1.0f, -24));
  EXPECT_EQ(to_float(f16{0x7bff}), 65504.0f);
  EXPECT_EQ(to_float(bf16{0x3f80}), 1.0f);
}

TEST(Float16Test, RoundsToNearestEven) {
  EXPECT_EQ(from_float<f16>(1.0f + std::ldexp(1.0f, -11)).bits, 0x3c00);      // tie, even below
  EXPECT_EQ(from_float<f16>(1.0f + 3 * std::ldexp(1.0f, -11)).bits, 0x3c02);  // tie, even above
  EXPECT_EQ(from_float<bf16>(1.0f + std::ldexp(1.0f, -8)).bits, 0x3f80);
  EXPECT_EQ(from_float<bf16>(1.0f + 3 * std::ldexp(1.0f, -8)).bits, 0x3f82);
  EXPECT_EQ(from_float<f16>(65520.0f).bits, 0x7c00);               // overflow
  EXPECT_EQ(from_float<f16>(std::ldexp(1.0f, -25)).bits, 0x0000);  // tie to zero
}

TEST(Float16Test, NanStaysNan) {
  EXPECT_TRUE(std::isnan(to_float(from_float<f16>(NAN))));
  EXPECT_TRUE(std::isnan(to_float(from_float<bf16>(NAN))));
}

}  // namespace
}  // namespace braid

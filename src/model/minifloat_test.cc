#include "model/minifloat.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "model/testing.h"

namespace braid::model {
namespace {

TEST(MinifloatTest, EveryE4m3ValueIsAsComputedFromItsFields) {
  const Json tables = *read_json_file(testing::source_path("tests/data/quant/number_tables.json"));
  ASSERT_EQ(tables["e4m3"].size(), 256u);
  for (size_t bits = 0; bits < 256; ++bits) {
    const float value = e4m3_to_float(static_cast<uint8_t>(bits));
    const Json& expected = tables["e4m3"][bits];
    if (expected.is_null()) {
      EXPECT_TRUE(std::isnan(value)) << bits;
    } else {
      EXPECT_EQ(value, expected.get<float>()) << bits;
    }
  }
}

TEST(MinifloatTest, KnownE4m3Values) {
  EXPECT_EQ(e4m3_to_float(0x38), 1.0f);
  EXPECT_EQ(e4m3_to_float(0x7e), 448.0f);
  EXPECT_EQ(e4m3_to_float(0xfe), -448.0f);
  EXPECT_EQ(e4m3_to_float(0x01), std::ldexp(1.0f, -9));
  EXPECT_TRUE(std::signbit(e4m3_to_float(0x80)));
  EXPECT_TRUE(std::isnan(e4m3_to_float(0x7f)));
  EXPECT_TRUE(std::isnan(e4m3_to_float(0xff)));
}

TEST(MinifloatTest, E2m1) {
  const Json tables = *read_json_file(testing::source_path("tests/data/quant/number_tables.json"));
  for (size_t bits = 0; bits < 16; ++bits) {
    const float value = e2m1_to_float(static_cast<uint8_t>(bits));
    EXPECT_EQ(std::bit_cast<uint32_t>(value),
              std::bit_cast<uint32_t>(tables["e2m1"][bits].get<float>()));
    EXPECT_EQ(value, e2m1_to_float(static_cast<uint8_t>(bits | 0xf0)));  // the low nibble only
  }
}

}  // namespace
}  // namespace braid::model

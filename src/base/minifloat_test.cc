#include "base/minifloat.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/json.h"

namespace braid {
namespace {

// The values of all codes, computed from their fields by other code.
Json number_table(const char* name) {
  return read_json_file(BRAID_SOURCE_DIR "/tests/data/quant/number_tables.json").value()[name];
}

TEST(MinifloatTest, EveryE4m3ValueIsAsComputedFromItsFields) {
  const Json table = number_table("e4m3");
  ASSERT_EQ(table.size(), 256u);
  for (size_t bits = 0; bits < 256; ++bits) {
    const float value = e4m3_to_float(static_cast<uint8_t>(bits));
    const Json& expected = table[bits];
    if (expected.is_null()) {
      EXPECT_TRUE(std::isnan(value)) << bits;
    } else {
      EXPECT_EQ(value, expected.get<float>()) << bits;
      EXPECT_EQ(std::signbit(value), bits >= 128) << bits;
    }
  }
}

TEST(MinifloatTest, KnownE4m3Values) {
  EXPECT_EQ(e4m3_to_float(0x38), 1.0f);
  EXPECT_EQ(e4m3_to_float(0x7e), kE4m3Most);
  EXPECT_EQ(e4m3_to_float(0xfe), -448.0f);
  EXPECT_EQ(e4m3_to_float(0x01), std::ldexp(1.0f, -9));
  EXPECT_TRUE(std::signbit(e4m3_to_float(0x80)));
  EXPECT_TRUE(std::isnan(e4m3_to_float(0x7f)));
  EXPECT_TRUE(std::isnan(e4m3_to_float(0xff)));
}

TEST(MinifloatTest, EveryE2m1ValueIsAsComputedFromItsFields) {
  const Json table = number_table("e2m1");
  for (size_t bits = 0; bits < 16; ++bits) {
    const float value = e2m1_to_float(static_cast<uint8_t>(bits));
    EXPECT_EQ(std::bit_cast<uint32_t>(value), std::bit_cast<uint32_t>(table[bits].get<float>()));
    EXPECT_EQ(value, e2m1_to_float(static_cast<uint8_t>(bits | 0xf0)));  // the low nibble only
  }
}

// The code whose value is nearest, of two equally near ones the even one, among `codes` positive
// finite codes in ascending order of their values.
template <typename Decode>
uint8_t nearest(float value, int codes, Decode decode) {
  int best = 0;
  for (int code = 1; code < codes; ++code) {
    const double now = std::abs(static_cast<double>(decode(static_cast<uint8_t>(code))) - value);
    const double before = std::abs(static_cast<double>(decode(static_cast<uint8_t>(best))) - value);
    if (now < before || (now == before && code % 2 == 0)) best = code;
  }
  return static_cast<uint8_t>(best);
}

// Every code, every midpoint of two neighbours, and the floats on both sides of each of these.
template <typename Decode, typename Encode>
void expect_nearest(int codes, uint8_t sign, Decode decode, Encode encode) {
  for (int code = 0; code < codes; ++code) {
    const float here = decode(static_cast<uint8_t>(code));
    EXPECT_EQ(encode(here), code);
    EXPECT_EQ(encode(-here), code | sign);
    const float next = code + 1 < codes ? decode(static_cast<uint8_t>(code + 1)) : 2 * here;
    for (const float at : {here, (here + next) / 2, here + (next - here) / 3}) {
      const float beyond = std::nextafter(at, std::numeric_limits<float>::infinity());
      for (const float value : {std::nextafter(at, 0.0f), at, beyond}) {
        EXPECT_EQ(encode(value), nearest(value, codes, decode)) << value;
        EXPECT_EQ(encode(-value), nearest(value, codes, decode) | sign) << value;
      }
    }
  }
}

TEST(MinifloatTest, E4m3IsTheNearestCodeTiesToEven) {
  expect_nearest(127, 0x80, e4m3_to_float, e4m3_from_float);
}

TEST(MinifloatTest, E2m1IsTheNearestCodeTiesToEven) {
  expect_nearest(8, 0x8, e2m1_to_float, e2m1_from_float);
}

TEST(MinifloatTest, WhatIsTooLargeSaturatesAndWhatIsNoNumberStaysNone) {
  const float infinity = std::numeric_limits<float>::infinity();
  const float most = std::numeric_limits<float>::max();
  for (const float value : {448.1f, 464.0f, 480.0f, 1e6f, most}) {
    EXPECT_EQ(e4m3_from_float(value), 0x7e);
    EXPECT_EQ(e4m3_from_float(-value), 0xfe);
  }
  EXPECT_EQ(e4m3_from_float(infinity), 0x7f);
  EXPECT_EQ(e4m3_from_float(-infinity), 0xff);
  EXPECT_EQ(e4m3_from_float(std::nanf("")) & 0x7f, 0x7f);
  EXPECT_EQ(e2m1_from_float(7.0f), 0x7);
  EXPECT_EQ(e2m1_from_float(-infinity), 0xf);
  EXPECT_EQ(e2m1_from_float(std::nanf("")) & 0x7, 0);
}

}  // namespace
}  // namespace braid

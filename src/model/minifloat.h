// The 8- and 4-bit floating-point numbers that quantized checkpoints store.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace braid::model {

namespace minifloat_detail {

// 1 sign, 4 exponent (bias 7), 3 mantissa bits; no infinity; 0x7f and 0xff are NaN (OCP FP8, E4M3).
constexpr float decode_e4m3(uint8_t bits) {
  const int exponent = (bits >> 3) & 0xf;
  const int mantissa = bits & 0x7;
  if ((bits & 0x7f) == 0x7f) return std::numeric_limits<float>::quiet_NaN();
  float value = static_cast<float>(exponent == 0 ? mantissa : 8 + mantissa) / 1024.0f;  // 2^-10
  for (int i = 0; i < exponent; ++i) value *= 2.0f;
  if (exponent == 0) value *= 2.0f;  // subnormals share the exponent of 1
  return (bits & 0x80) != 0 ? -value : value;
}

constexpr std::array<float, 256> make_e4m3_table() {
  std::array<float, 256> table{};
  for (int bits = 0; bits < 256; ++bits) {
    table[static_cast<size_t>(bits)] = decode_e4m3(static_cast<uint8_t>(bits));
  }
  return table;
}

inline constexpr std::array<float, 256> kE4m3 = make_e4m3_table();

// 1 sign, 2 exponent, 1 mantissa bit (OCP Microscaling Formats, E2M1).
inline constexpr std::array<float, 16> kE2m1 = {0.0f,  0.5f,  1.0f,  1.5f,  2.0f,  3.0f,
                                                4.0f,  6.0f,  -0.0f, -0.5f, -1.0f, -1.5f,
                                                -2.0f, -3.0f, -4.0f, -6.0f};

}  // namespace minifloat_detail

constexpr float e4m3_to_float(uint8_t bits) { return minifloat_detail::kE4m3[bits]; }

// The low four bits.
constexpr float e2m1_to_float(uint8_t bits) { return minifloat_detail::kE2m1[bits & 0xf]; }

}  // namespace braid::model

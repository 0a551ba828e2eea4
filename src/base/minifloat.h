// The 8- and 4-bit floating-point numbers of quantized weights and payloads. All is constexpr and
// free of tables, so that GPUs compile the same code; conversions are exact or round to the
// nearest, ties to even.
#pragma once

#include <bit>
#include <cstdint>

namespace braid {

inline constexpr float kE4m3Most = 448.0f;
inline constexpr float kE2m1Most = 6.0f;

// 1 sign, 4 exponent (bias 7), 3 mantissa bits; no infinity; 0x7f and 0xff are NaN (OCP FP8, E4M3).
inline constexpr uint8_t kE4m3Nan = 0x7f;

constexpr float e4m3_to_float(uint8_t code) {
  const uint32_t sign = uint32_t{code & 0x80u} << 24;
  const uint32_t magnitude = code & 0x7fu;
  // The exponent's bias differs by 120; scaling by 2^120 also normalises subnormals.
  const float scaled = std::bit_cast<float>(magnitude << 20) * std::bit_cast<float>(0x7b800000u);
  const uint32_t bits = magnitude == kE4m3Nan ? 0x7fc00000u : std::bit_cast<uint32_t>(scaled);
  return std::bit_cast<float>(bits | sign);
}

// What is beyond ±448 becomes ±448; infinities and NaN become NaN.
constexpr uint8_t e4m3_from_float(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = bits >> 24 & 0x80u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  // Below 2^-6 the adder rounds at bit 2^-9.
  const float shifted = std::bit_cast<float>(magnitude) + 16384.0f;
  const uint32_t subnormal = std::bit_cast<uint32_t>(shifted) - 0x46800000u;
  const uint32_t rounded = magnitude + 0x7ffffu + (magnitude >> 20 & 1u);
  uint32_t code = magnitude < 0x3c800000u ? subnormal : (rounded - 0x3c000000u) >> 20;
  code = magnitude >= 0x43e00000u ? 0x7eu : code;  // 448
  code = magnitude >= 0x7f800000u ? kE4m3Nan : code;
  return static_cast<uint8_t>(sign | code);
}

// The low four bits: 1 sign, 2 exponent, 1 mantissa bit (OCP Microscaling Formats, E2M1).
constexpr float e2m1_to_float(uint8_t code) {
  const uint32_t sign = uint32_t{code & 0x8u} << 28;
  const float scaled =
      std::bit_cast<float>(uint32_t{code & 0x7u} << 22) * std::bit_cast<float>(0x7e800000u);
  return std::bit_cast<float>(std::bit_cast<uint32_t>(scaled) | sign);
}

// In the low four bits. What is beyond ±6 becomes ±6; NaN, which has no code, becomes 0.
constexpr uint8_t e2m1_from_float(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const float size = std::bit_cast<float>(bits & 0x7fffffffu);
  // The midpoints between neighbours; a tie goes to the even code.
  const int code = (size > 0.25f) + (size >= 0.75f) + (size > 1.25f) + (size >= 1.75f) +
                   (size > 2.5f) + (size >= 3.5f) + (size > 5.0f);
  return static_cast<uint8_t>((bits >> 28 & 0x8u) | static_cast<uint32_t>(code));
}

}  // namespace braid

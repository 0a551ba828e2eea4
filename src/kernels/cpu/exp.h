// exp, sigmoid and SiLU in float32 without libm: the same bits on every machine, and free of
// branches, so loops over them are vectorised.
#pragma once

#include <bit>
#include <cstdint>

namespace braid::kernels::cpu {

// e^x within 1.5 units in the last place; 0 below −104, infinity above 88.73, NaN for NaN.
[[gnu::always_inline]] inline float exp(float x) {
  // x = n·ln 2 + r, |r| ≤ ln 2 / 2. Adding 1.5·2^23 rounds to an integer and leaves it in the low
  // bits. ln 2 is split so that n·kLn2High is exact.
  constexpr float kRound = 12582912.0f;
  constexpr float kLog2E = 1.44269504f;
  constexpr float kLn2High = 0.693145752f;
  constexpr float kLn2Low = 1.42860677e-6f;
  x = x < -105.0f ? -105.0f : x;
  x = x > 89.0f ? 89.0f : x;
  const float shifted = __builtin_fmaf(x, kLog2E, kRound);
  const float n = shifted - kRound;
  float r = __builtin_fmaf(n, -kLn2High, x);
  r = __builtin_fmaf(n, -kLn2Low, r);
  // Taylor's coefficients: the remainder r^8 / 8! is below 6e-9.
  float p = 1.0f / 5040.0f;
  p = __builtin_fmaf(p, r, 1.0f / 720.0f);
  p = __builtin_fmaf(p, r, 1.0f / 120.0f);
  p = __builtin_fmaf(p, r, 1.0f / 24.0f);
  p = __builtin_fmaf(p, r, 1.0f / 6.0f);
  p = __builtin_fmaf(p, r, 0.5f);
  p = __builtin_fmaf(p, r, 1.0f);
  p = __builtin_fmaf(p, r, 1.0f);
  // 2^n in two factors, because n reaches from −151 to 128. Unsigned, as n is noise for NaN.
  const uint32_t exponent = std::bit_cast<uint32_t>(shifted) - std::bit_cast<uint32_t>(kRound);
  const uint32_t half = static_cast<uint32_t>(static_cast<int32_t>(exponent) >> 1);
  const float scale1 = std::bit_cast<float>((half + 127u) << 23);
  const float scale2 = std::bit_cast<float>((exponent - half + 127u) << 23);
  return p * scale1 * scale2;
}

[[gnu::always_inline]] inline float sigmoid(float x) { return 1.0f / (1.0f + exp(-x)); }

[[gnu::always_inline]] inline float silu(float x) { return x / (1.0f + exp(-x)); }

}  // namespace braid::kernels::cpu

// How a group of elements gets its scale and its codes, for CPU and GPU alike: constexpr, so that
// both compile the same arithmetic, which is exact or correctly rounded, so that their bits agree.
#pragma once

#include "base/minifloat.h"
#include "kernels/quantize/quantize_desc.h"

namespace braid::kernels {

// What a pass over a group's elements finds.
struct GroupRange {
  uint32_t most_bits = 0;  // of the largest finite magnitude: as integers they have the same order
  bool finite = true;

  constexpr float most() const { return std::bit_cast<float>(most_bits); }
  constexpr void add(float value) {
    const uint32_t magnitude = std::bit_cast<uint32_t>(value) & 0x7fffffffu;
    const bool is_finite = magnitude < 0x7f800000u;
    finite = finite && is_finite;
    merge_most(is_finite ? magnitude : 0u);
  }
  constexpr void merge_most(uint32_t bits) { most_bits = bits > most_bits ? bits : most_bits; }
};

// The smallest power of two, at least 2^-126, by which a row's largest magnitude fits into nvfp4's
// range.
constexpr float row_scale_of(uint32_t most_bits) {
  constexpr uint32_t kFraction = 0x7fffffu, kLeast = 0x800000u;
  const float wanted = std::bit_cast<float>(most_bits) / (kE2m1Most * kE4m3Most);
  const uint32_t bits = (std::bit_cast<uint32_t>(wanted) + kFraction) & ~kFraction;
  return std::bit_cast<float>(bits < kLeast ? kLeast : bits);
}

// As its two bytes, and back.
constexpr void store_row_scale(float scale, uint8_t* bytes) {
  const uint32_t bits = std::bit_cast<uint32_t>(scale);
  bytes[0] = static_cast<uint8_t>(bits >> 16);
  bytes[1] = static_cast<uint8_t>(bits >> 24);
}
constexpr float load_row_scale(const uint8_t* bytes) {
  return std::bit_cast<float>(static_cast<uint32_t>(bytes[0]) << 16 |
                              static_cast<uint32_t>(bytes[1]) << 24);
}

struct Fp8Codec {
  static constexpr Payload kPayload = Payload::fp8;
  static constexpr int kGroup = 128;
  static constexpr float kLeastScale = 0x1p-126f;
  static constexpr bool kScalesRows = false;
  using Scale = float;

  static constexpr Scale scale_of(const GroupRange& range, float /*row_scale*/) {
    const float scale = range.most() / kE4m3Most;
    return scale < kLeastScale ? kLeastScale : scale;
  }
  static constexpr float value_of(Scale scale) { return scale; }
  static constexpr uint8_t code_of(float scaled) { return e4m3_from_float(scaled); }
  static constexpr float element_of(uint8_t code) { return e4m3_to_float(code); }
};

struct Nvfp4Codec {
  static constexpr Payload kPayload = Payload::nvfp4;
  static constexpr int kGroup = 16;
  static constexpr bool kScalesRows = true;
  using Scale = uint8_t;

  static constexpr Scale scale_of(const GroupRange& range, float row_scale) {
    if (!range.finite) return kE4m3Nan;
    const uint8_t scale = e4m3_from_float(range.most() / row_scale / kE2m1Most);
    return scale == 0 ? uint8_t{1} : scale;
  }
  static constexpr float value_of(Scale scale) { return e4m3_to_float(scale); }
  static constexpr uint8_t code_of(float scaled) { return e2m1_from_float(scaled); }
  static constexpr float element_of(uint8_t code) { return e2m1_to_float(code); }
};

}  // namespace braid::kernels

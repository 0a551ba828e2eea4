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

struct Fp8Codec {
  static constexpr Payload kPayload = Payload::fp8;
  static constexpr int kGroup = 128;
  static constexpr float kLeastScale = 0x1p-126f;
  using Scale = float;

  static constexpr Scale scale_of(const GroupRange& range) {
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
  using Scale = uint8_t;

  static constexpr Scale scale_of(const GroupRange& range) {
    if (!range.finite) return kE4m3Nan;
    const uint8_t scale = e4m3_from_float(range.most() / kE2m1Most);
    return scale == 0 ? uint8_t{1} : scale;
  }
  static constexpr float value_of(Scale scale) { return e4m3_to_float(scale); }
  static constexpr uint8_t code_of(float scaled) { return e2m1_from_float(scaled); }
  static constexpr float element_of(uint8_t code) { return e2m1_to_float(code); }
};

}  // namespace braid::kernels

// How a group of elements gets its scale and its codes, for CPU and GPU alike: constexpr, so that
// both compile the same arithmetic, which is exact or correctly rounded, so that their bits agree.
#pragma once

#include "base/minifloat.h"
#include "kernels/quantize/quantize_desc.h"

namespace braid::kernels {

constexpr float magnitude(float value) {
  return std::bit_cast<float>(std::bit_cast<uint32_t>(value) & 0x7fffffffu);
}
constexpr bool is_finite(float value) {
  return (std::bit_cast<uint32_t>(value) & 0x7fffffffu) < 0x7f800000u;
}

// What a pass over a group's elements finds.
struct GroupRange {
  float most = 0;  // the largest finite magnitude
  bool finite = true;

  constexpr void add(float value) {
    if (!is_finite(value)) {
      finite = false;
    } else if (magnitude(value) > most) {
      most = magnitude(value);
    }
  }
};

struct Fp8Codec {
  static constexpr Payload kPayload = Payload::fp8;
  static constexpr int kGroup = 128;
  static constexpr float kLeastScale = 0x1p-126f;
  using Scale = float;

  static constexpr Scale scale_of(const GroupRange& range) {
    const float scale = range.most / kE4m3Most;
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
    const uint8_t scale = e4m3_from_float(range.most / kE2m1Most);
    return scale == 0 ? uint8_t{1} : scale;
  }
  static constexpr float value_of(Scale scale) { return e4m3_to_float(scale); }
  static constexpr uint8_t code_of(float scaled) { return e2m1_from_float(scaled); }
  static constexpr float element_of(uint8_t code) { return e2m1_to_float(code); }
};

}  // namespace braid::kernels

// Rotary position embedding.
#pragma once

#include <cstdint>

namespace braid::kernels {

// table[t] = [cos(p·f) · multiplier | sin(p·f) · multiplier], p = positions[t], f [dims / 2] the
// inverse frequencies; float32.  table [T, dims].
struct RotaryTableDesc {
  float multiplier = 1.0f;  // YaRN's attention factor
};

// Rotates, in place, columns [offset, offset + dims) of every head of x [T, heads · head_dim].
struct RotaryDesc {
  int32_t head_dim = 0;
  int32_t offset = 0;
  int32_t dims = 0;
  // Pairs are (2i, 2i + 1) where interleaved, else (i, i + dims / 2).
  int32_t interleaved = 0;
};

}  // namespace braid::kernels

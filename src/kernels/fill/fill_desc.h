// Made-up numbers, the same bits on every device: each is a function of a key and of its index.
#pragma once

#include <cstdint>

#include "kernels/hash.h"

namespace braid::kernels {

// out [R, C]: element [r, c] is number first + r · stride + c of the sequence of `key`; from
// `columns` on it is zero (a shard's pads). The numbers are uniform in (−bound, bound), symmetric,
// of 16 bits each, computed in float32 and rounded to what out is stored as.
struct UniformDesc {
  uint64_t key = 0;
  float bound = 0;
  bool to_bf16 = false;  // rounded to bfloat16, even where out is float32
  uint64_t first = 0;
  uint64_t stride = 0;
  int64_t columns = 0;
};

// Four numbers have one hash: 16 bits each, the lowest first.
inline constexpr int kNumbersOfHash = 4;

constexpr uint64_t hash_of_numbers(uint64_t key, uint64_t index) {
  return mix(key + index / kNumbersOfHash * 0x9e3779b97f4a7c15u);
}

// The number of these 16 bits. All but the last product is exact, and no product is added to
// anything, so that no compiler can fuse two roundings into one.
constexpr float uniform_number(uint32_t bits, float bound) {
  return bound * ((static_cast<float>(bits) - 32767.5f) * 0x1p-15f);
}

}  // namespace braid::kernels

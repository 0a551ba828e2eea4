// Counter-based random numbers: each is a function of its key and counter alone, the same on every
// device.
#pragma once

#include <cstdint>

namespace braid::kernels {

// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): a bijection in which every input bit
// flips every output bit with probability near a half.
constexpr uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

constexpr uint64_t hash(uint64_t key, uint64_t counter) {
  constexpr uint64_t kGolden = 0x9e3779b97f4a7c15u;  // 2^64 / the golden ratio
  return mix(mix(key + kGolden) + (counter + 1) * kGolden);
}

// In [0, 1): the upper 53 bits.
constexpr double unit_interval(uint64_t bits) { return static_cast<double>(bits >> 11) * 0x1p-53; }

}  // namespace braid::kernels

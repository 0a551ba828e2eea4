// Eight float32 lanes in gcc's and clang's vector extension, and the fixed orders in which sums are
// taken with them. Every fused multiply-add is explicit: the compiler contracts nothing, so results
// are the same wherever the inlined code ends up.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "base/float16.h"

namespace braid::kernels::cpu {

inline constexpr int64_t kLanes = 8;
// What one step of a dot product takes from a row: two Lanes, "half" 0 and "half" 1.
inline constexpr int64_t kStep = 2 * kLanes;

using Lanes = float __attribute__((vector_size(32)));
using Quad = float __attribute__((vector_size(16)));
using LaneBits = uint32_t __attribute__((vector_size(32)));

[[gnu::always_inline]] inline Lanes fma(Lanes a, Lanes b, Lanes c) {
  return Lanes{__builtin_fmaf(a[0], b[0], c[0]), __builtin_fmaf(a[1], b[1], c[1]),
               __builtin_fmaf(a[2], b[2], c[2]), __builtin_fmaf(a[3], b[3], c[3]),
               __builtin_fmaf(a[4], b[4], c[4]), __builtin_fmaf(a[5], b[5], c[5]),
               __builtin_fmaf(a[6], b[6], c[6]), __builtin_fmaf(a[7], b[7], c[7])};
}

[[gnu::always_inline]] inline Lanes broadcast(float value) {
  return Lanes{value, value, value, value, value, value, value, value};
}

[[gnu::always_inline]] inline Lanes load(const float* from) {
  Lanes lanes;
  std::memcpy(&lanes, from, sizeof(lanes));
  return lanes;
}

[[gnu::always_inline]] inline void store(float* to, Lanes lanes) {
  std::memcpy(to, &lanes, sizeof(lanes));
}

// Hides where accumulators come from. Without it gcc 12 takes apart the last fma of a loop to feed
// the shuffles of the sum behind it, keeps the loop's previous state for that, and spills.
[[gnu::always_inline]] inline void settle(Lanes& lanes) {
#if defined(__AVX__)
  asm("" : "+x"(lanes));
#else
  (void)lanes;
#endif
}

// One half of the kStep elements at `from`, in the order of a W: rows of float32 are taken in
// order; of bfloat16 the even elements come first, then the odd, because each of them is one
// instruction on the loaded pairs.
template <typename W, int kHalf, typename X>
[[gnu::always_inline]] inline Lanes load_half(const X* from) {
  if constexpr (std::is_same_v<W, float>) {
    static_assert(std::is_same_v<X, float>);
    return load(from + kHalf * kLanes);
  } else if constexpr (std::is_same_v<X, bf16>) {
    LaneBits pairs;
    std::memcpy(&pairs, from, sizeof(pairs));
    if constexpr (kHalf == 0) return (Lanes)(pairs << 16);
    return (Lanes)(pairs & 0xffff0000u);
  } else {
    const Lanes low = load(from);
    const Lanes high = load(from + kLanes);
    if constexpr (kHalf == 0) return __builtin_shufflevector(low, high, 0, 2, 4, 6, 8, 10, 12, 14);
    return __builtin_shufflevector(low, high, 1, 3, 5, 7, 9, 11, 13, 15);
  }
}

// The inverse of load_half: writes kStep float32 elements in their order in the row.
template <typename W>
[[gnu::always_inline]] inline void store_halves(float* to, Lanes first, Lanes second) {
  if constexpr (std::is_same_v<W, float>) {
    store(to, first);
    store(to + kLanes, second);
  } else {
    store(to, __builtin_shufflevector(first, second, 0, 8, 1, 9, 2, 10, 3, 11));
    store(to + kLanes, __builtin_shufflevector(first, second, 4, 12, 5, 13, 6, 14, 7, 15));
  }
}

[[gnu::always_inline]] inline Quad add_halves(Lanes a) {
  return __builtin_shufflevector(a, a, 0, 1, 2, 3) + __builtin_shufflevector(a, a, 4, 5, 6, 7);
}

[[gnu::always_inline]] inline Quad add_pairs(Quad a, Quad b) {
  return __builtin_shufflevector(a, b, 0, 4, 1, 5) + __builtin_shufflevector(a, b, 2, 6, 3, 7);
}

// The lanes of each of four: ((0 + 4) + (2 + 6)) + ((1 + 5) + (3 + 7)).
[[gnu::always_inline]] inline Quad sum_of_each(Lanes a, Lanes b, Lanes c, Lanes d) {
  const Quad ab = add_pairs(add_halves(a), add_halves(b));
  const Quad cd = add_pairs(add_halves(c), add_halves(d));
  return __builtin_shufflevector(ab, cd, 0, 1, 4, 5) + __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
}

// The same order for one.
[[gnu::always_inline]] inline float sum_of(Lanes lanes) {
  settle(lanes);
  const Quad halves = add_halves(lanes);
  return (halves[0] + halves[2]) + (halves[1] + halves[3]);
}

// Σ value(i) for i < count: lane i % 8 takes term i, then sum_of.
template <typename Term>
inline float sum_terms(int64_t count, Term value) {
  float lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] += value(i + lane);
  }
  for (int64_t lane = 0; i + lane < count; ++lane) lanes[lane] += value(i + lane);
  return sum_of(load(lanes));
}

}  // namespace braid::kernels::cpu

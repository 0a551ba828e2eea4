// Softmax in float32 with the maximum subtracted.
#pragma once

#include <cstdint>

#include "kernels/cpu/exp.h"
#include "kernels/cpu/lanes.h"

namespace braid::kernels::cpu {

// out = softmax(scale · in); in and out [count ≥ 1] may be the same memory.
inline void softmax(float scale, int64_t count, const float* in, float* out) {
  float highest = in[0] * scale;
  for (int64_t i = 0; i < count; ++i) {
    out[i] = in[i] * scale;
    highest = out[i] > highest ? out[i] : highest;
  }
  for (int64_t i = 0; i < count; ++i) out[i] = exp(out[i] - highest);
  const float sum = sum_terms(count, [out](int64_t i) { return out[i]; });
  for (int64_t i = 0; i < count; ++i) out[i] /= sum;
}

}  // namespace braid::kernels::cpu

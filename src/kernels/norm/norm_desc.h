// RMSNorm in float32: y = w · (x · rsqrt(mean(x²) + eps)), rounded to y's format once.
#pragma once

#include <cstdint>

namespace braid::kernels {

struct RmsNormDesc {
  float eps = 1e-6f;
  // Columns are normalised in groups of this many (a head), all with the same w [group];
  // 0: the whole row.
  int32_t group = 0;
};

// sum = a + b, rounded to its format, and y the norm of the whole rows of that sum.
struct AddRmsNormDesc {
  float eps = 1e-6f;
};

}  // namespace braid::kernels

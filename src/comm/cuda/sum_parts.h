// The one addition of an all-reduce by copy engines.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace braid::comm {

inline constexpr int kMaxParts = 16;

enum class PartFormat { f32, bf16 };

// Where each rank's part of the slice lies, in the order of ranks.
struct Parts {
  const void* data[kMaxParts];
  int count = 0;
};

// out[i] = Σ_r parts[r][i] in the order of r, in float32, rounded once. Addresses are multiples
// of 16 bytes, `elements` a multiple of 8. `blocks`: how many SMs it may take.
void sum_parts(const Parts& parts, void* out, int64_t elements, PartFormat format, int blocks,
               cudaStream_t stream);

}  // namespace braid::comm

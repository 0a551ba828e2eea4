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
// of 16 bytes, `elements` a multiple of 8. Its blocks are so small (a warp, 32 registers a thread,
// no shared memory) that they run on SMs that a GEMM fills with its own block.
void sum_parts(const Parts& parts, void* out, int64_t elements, PartFormat format,
               cudaStream_t stream);

}  // namespace braid::comm

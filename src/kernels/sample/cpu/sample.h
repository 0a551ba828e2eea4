// Choice of the next token on the CPU.
#pragma once

#include <limits>

#include "kernels/matrix.h"
#include "kernels/sample/sample_desc.h"

namespace braid::kernels::cpu {

struct SampleRow {
  float temperature = 0;
  float top_p = 1;
  int32_t top_k = 0;
  uint64_t seed = 0;
  int32_t position = 0;                                       // of the token that is chosen
  float log_min_p = -std::numeric_limits<float>::infinity();  // ln of min_p; this is that of 0
};

// A number in [0, 1) that depends on the two alone.
double uniform(uint64_t seed, int64_t position);

int64_t sample_scratch_bytes(int64_t vocab_size);

// The token chosen from logits [vocab_size] by the rules of SampleDesc, or kNoChoice. top_p counts
// against what top_k left.
int32_t sample(const SampleRow& row, int64_t vocab_size, const float* logits, std::byte* scratch);

}  // namespace braid::kernels::cpu

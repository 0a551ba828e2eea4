// Log probabilities of tokens on the CPU.
#pragma once

#include "kernels/matrix.h"
#include "kernels/sample/sample_desc.h"

namespace braid::kernels::cpu {

int64_t top_logprobs_scratch_bytes(int64_t vocab_size);

// By the rules of TopLogprobsDesc, from logits [vocab_size], for an id and the `wanted` most
// likely ones. logprobs [1 + kMaxTopLogprobs]: of the id, then of `ids` [kMaxTopLogprobs].
void top_logprobs(int64_t vocab_size, const float* logits, int32_t id, int32_t wanted,
                  float* logprobs, int32_t* ids, std::byte* scratch);

}  // namespace braid::kernels::cpu

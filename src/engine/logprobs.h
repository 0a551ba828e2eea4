// Log probabilities of tokens as a step's words bring them.
#pragma once

#include <span>

#include "engine/request.h"
#include "layers/step_inputs.h"

namespace braid::engine {

// Of one logits row of a step of extended sampling. words: Ranks::logprobs; num_logits: of the
// step's InputLayout.
Logprobs logprobs_of(std::span<const int32_t> words, int64_t num_logits, size_t row);

}  // namespace braid::engine

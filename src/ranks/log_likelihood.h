// How likely a token is under a row of logits.
#pragma once

#include <cstdint>
#include <span>

namespace braid::ranks {

// −ln softmax(logits)[target], computed in double. logits: f32 [V].
double negative_log_likelihood(std::span<const float> logits, int64_t target);

}  // namespace braid::ranks

// How likely a token is under a row of logits.
#pragma once

#include <cstdint>
#include <span>

#include "base/status.h"

namespace braid::ranks {

// −ln softmax(logits)[target], computed in double. logits: f32 [V].
double negative_log_likelihood(std::span<const float> logits, int64_t target);

// What ends a run whose logits are NaN or infinite.
Error logits_not_finite();

}  // namespace braid::ranks

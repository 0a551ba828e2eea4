// Choice of the next token.
#pragma once

#include <cstdint>

namespace braid::kernels {

// logits [R, V] f32 → ids [R] i32. Row r: temperature 0 takes the highest logit (lowest id wins a
// tie). Else softmax(logits / temperature) is cut to the top_k most likely (0: all), then to the
// smallest set of probability ≥ top_p, and drawn from with uniform(seed, position): the random
// number depends on these two alone.
struct SampleDesc {};

}  // namespace braid::kernels

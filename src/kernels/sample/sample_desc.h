// Choice of the next token.
#pragma once

#include <cstdint>

namespace braid::kernels {

// What is written instead of a token where a row of logits holds NaN or +infinity, or nothing above
// −infinity: no token can be chosen from it.
inline constexpr int32_t kNoChoice = -1;

// logits [R, V] f32 → ids [R] i32. Row r: temperature 0 takes the highest logit (lowest id wins a
// tie). Else softmax(logits / temperature) is cut to the top_k most likely (0: all), then to the
// smallest set of probability ≥ top_p, then to the ids of at least min_p times the highest
// probability, and drawn from with uniform(seed, position): the random number depends on these two
// alone.
struct SampleDesc {};

// logits [R, V] f32 → the logits that sampling sees. Every row in this order, each in float32:
// 1. a bias is added to the ids that have one;
// 2. of the ids that occur among the row's tokens, a logit above 0 is divided by the repetition
//    penalty, another one multiplied (Keskar et al. 2019, as in transformers);
// 3. of the ids that occur n > 0 times in the answer, frequency penalty · n and then the presence
//    penalty are subtracted (as OpenAI's API has them).
// The row's tokens are those before the token to be chosen. They are kept by KV slot: token p of a
// sequence at block_table[sequence, p / page_size] · page_size + p % page_size.
struct AdjustLogitsDesc {
  int32_t page_size = 0;
};

// The columns of its penalties.
struct Penalties {
  enum : int32_t { repetition, presence, frequency, num_columns };
};

// logits [R, V] f32, ids [R] i32 → log-softmax(logits) of each row's id and, for row r, of the
// wanted[r] most likely ids (of equals the lower first), with those ids. Where
// there is nothing, because a row wants −1 or has no more ids above −infinity, ids are −1 and log
// probabilities −infinity.
struct TopLogprobsDesc {};

inline constexpr int32_t kMaxTopLogprobs = 20;

}  // namespace braid::kernels

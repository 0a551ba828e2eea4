#include "engine/logprobs.h"

#include <bit>

namespace braid::engine {

Logprobs logprobs_of(std::span<const int32_t> words, int64_t num_logits, size_t row) {
  constexpr size_t kMost = kernels::kMaxTopLogprobs;
  const layers::LogprobLayout layout(num_logits);
  const auto logprobs =
      words.subspan(static_cast<size_t>(layout.logprobs) + row * (1 + kMost), 1 + kMost);
  const auto ids = words.subspan(static_cast<size_t>(layout.ids) + row * kMost, kMost);
  Logprobs out{.chosen = std::bit_cast<float>(logprobs[0]), .top = {}};
  for (size_t i = 0; i < kMost && ids[i] >= 0; ++i) {
    out.top.push_back({.token = ids[i], .logprob = std::bit_cast<float>(logprobs[1 + i])});
  }
  return out;
}

}  // namespace braid::engine

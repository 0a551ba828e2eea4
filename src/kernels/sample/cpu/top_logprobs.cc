#include "kernels/sample/cpu/top_logprobs.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "kernels/cpu/exp.h"

namespace braid::kernels::cpu {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

float highest(int64_t count, const float* logits) {
  float value = -kInfinity;
  for (int64_t i = 0; i < count; ++i) value = logits[i] > value ? logits[i] : value;
  return value;
}

}  // namespace

int64_t top_logprobs_scratch_bytes(int64_t vocab_size) {
  return vocab_size * int64_t{sizeof(int32_t)};
}

void top_logprobs(int64_t vocab_size, const float* logits, int32_t id, int32_t wanted,
                  float* logprobs, int32_t* ids, std::byte* scratch) {
  std::fill_n(logprobs, 1 + kMaxTopLogprobs, -kInfinity);
  std::fill_n(ids, kMaxTopLogprobs, -1);
  if (wanted < 0) return;
  const float top = highest(vocab_size, logits);
  double sum = 0;
  for (int64_t i = 0; i < vocab_size; ++i) sum += static_cast<double>(exp(logits[i] - top));
  const double log_sum = std::log(sum);
  const auto logprob = [&](int32_t of) {
    return static_cast<float>(static_cast<double>(logits[of]) - static_cast<double>(top) - log_sum);
  };
  if (id >= 0 && id < vocab_size) logprobs[0] = logprob(id);

  auto* order = reinterpret_cast<int32_t*>(scratch);
  int64_t candidates = 0;
  for (int64_t i = 0; i < vocab_size; ++i) {
    if (logits[i] > -kInfinity) order[candidates++] = static_cast<int32_t>(i);
  }
  const int64_t count =
      std::min({int64_t{std::min(wanted, kMaxTopLogprobs)}, candidates, vocab_size});
  std::partial_sort(order, order + count, order + candidates, [logits](int32_t a, int32_t b) {
    return logits[a] > logits[b] || (logits[a] == logits[b] && a < b);
  });
  for (int64_t i = 0; i < count; ++i) {
    ids[i] = order[i];
    logprobs[1 + i] = logprob(order[i]);
  }
}

}  // namespace braid::kernels::cpu

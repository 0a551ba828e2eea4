#include "engine/request.h"

#include <algorithm>
#include <cmath>

#include "layers/step_inputs.h"

namespace braid::engine {
namespace {

constexpr float kMostPenalty = 2;  // presence and frequency, as in OpenAI's API
constexpr float kMostBias = 100;   // likewise

Error refused(std::string_view message, std::string_view name, float value) {
  return Error(ErrorKind::usage, std::string(message)).with(std::string(name), value);
}

Status check_penalties(const SamplingParams& sampling) {
  const float repetition = sampling.repetition_penalty;
  if (!(repetition > 0) || !std::isfinite(repetition)) {
    return refused("the repetition penalty must be above 0", "repetition-penalty", repetition);
  }
  struct Penalty {
    std::string_view name;
    float value;
  };
  for (const auto& [name, value] : {Penalty{"presence-penalty", sampling.presence_penalty},
                                    Penalty{"frequency-penalty", sampling.frequency_penalty}}) {
    if (std::abs(value) <= kMostPenalty) continue;
    return refused("a penalty must be from -2 to 2", name, value);
  }
  return {};
}

Status check_biases(const std::vector<LogitBias>& biases, int64_t vocab_size) {
  if (std::ssize(biases) > layers::kMaxBiases) {
    return Error(ErrorKind::usage, "too many tokens have a bias")
        .with("logit-bias", biases.size())
        .with("most", layers::kMaxBiases);
  }
  std::vector<int32_t> ids;
  for (const auto& [id, bias] : biases) {
    if (id < 0 || id >= vocab_size) {
      return Error(ErrorKind::usage, "a bias is given to a token that is none")
          .with("id", id)
          .with("vocab_size", vocab_size);
    }
    if (!(std::abs(bias) <= kMostBias)) {
      return refused("a bias must be from -100 to 100", "bias", bias).with("id", id);
    }
    ids.push_back(id);
  }
  std::sort(ids.begin(), ids.end());
  const auto twice = std::adjacent_find(ids.begin(), ids.end());
  if (twice == ids.end()) return {};
  return Error(ErrorKind::usage, "a token is given two biases").with("id", *twice);
}

}  // namespace

Status check_sampling(const Request& request, int64_t vocab_size) {
  const SamplingParams& sampling = request.sampling;
  if (!(sampling.temperature >= 0) || !std::isfinite(sampling.temperature)) {
    return refused("the temperature must be 0 or more", "temperature", sampling.temperature);
  }
  if (!(sampling.top_p > 0 && sampling.top_p <= 1)) {
    return refused("top-p must be above 0 and at most 1", "top-p", sampling.top_p);
  }
  if (sampling.top_k < 0) {
    return Error(ErrorKind::usage, "top-k must be 0 (all tokens) or more")
        .with("top-k", sampling.top_k);
  }
  if (!(sampling.min_p >= 0 && sampling.min_p <= 1)) {
    return refused("min-p must be from 0 to 1", "min-p", sampling.min_p);
  }
  if (request.logprobs < kNoLogprobs || request.logprobs > kernels::kMaxTopLogprobs) {
    return Error(ErrorKind::usage, "log probabilities of too many tokens are wanted")
        .with("logprobs", request.logprobs)
        .with("most", kernels::kMaxTopLogprobs);
  }
  TRY(check_penalties(sampling));
  return check_biases(sampling.logit_bias, vocab_size);
}

std::string_view name_of(FinishReason reason) {
  switch (reason) {
    case FinishReason::stop: return "stop";
    case FinishReason::length: return "length";
    case FinishReason::cancelled: return "cancelled";
  }
  return "";
}

}  // namespace braid::engine

// Requests, and the sequences that they become.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace braid::engine {

using RequestId = int64_t;

// What is added to a token's logit.
struct LogitBias {
  int32_t id = 0;
  float bias = 0;
};

// The rules are those of kernels::SampleDesc and kernels::AdjustLogitsDesc.
struct SamplingParams {
  float temperature = 0;  // 0: the most likely token
  float top_p = 1;
  int32_t top_k = 0;  // 0: all tokens
  float min_p = 0;
  uint64_t seed = 0;
  float repetition_penalty = 1;  // of the tokens of prompt and answer
  float presence_penalty = 0;    // these two of the answer's alone
  float frequency_penalty = 0;
  std::vector<LogitBias> logit_bias = {};  // each token once

  bool adjusts_logits() const {
    return repetition_penalty != 1 || presence_penalty != 0 || frequency_penalty != 0 ||
           !logit_bias.empty();
  }
};

constexpr int32_t kNoLogprobs = -1;

struct Request {
  std::vector<int32_t> prompt;  // token ids
  SamplingParams sampling;
  int32_t max_tokens = 128;  // generated at most; 0: the prompt is computed, nothing is generated
  std::vector<int32_t> stop_token_ids;  // generation ends after one of these
  // Log probabilities of each token and of so many of the most likely in its place.
  int32_t logprobs = kNoLogprobs;

  bool extends_sampling() const { return sampling.adjusts_logits() || logprobs >= 0; }
};

// An error of usage where a parameter is out of its range, or names a token that is none.
Status check_sampling(const Request& request, int64_t vocab_size);

enum class FinishReason { stop, length, cancelled };
std::string_view name_of(FinishReason reason);  // "stop", "length", "cancelled"

constexpr int32_t kNoToken = -1;

struct TokenLogprob {
  int32_t token = kNoToken;
  float logprob = 0;  // ln softmax(logits)[token], before biases, penalties and temperature
};

// How likely a generated token was, and which were the most likely in its place, the first first.
struct Logprobs {
  float chosen = 0;
  std::vector<TokenLogprob> top;
};

// One generated token of a request, as it comes; kNoToken where only the prompt was wanted.
struct TokenEvent {
  RequestId request = 0;
  int32_t token = kNoToken;
  std::optional<FinishReason> finished = {};
  std::chrono::steady_clock::time_point admitted = {};  // when its first row was planned
  std::optional<Logprobs> logprobs = {};
};

// A request in the engine. Its tokens are the prompt and what was generated. The host may not
// know the last ones yet: a step in flight samples them. The first `computed` tokens are in the
// KV cache, or steps in flight write them there.
struct Sequence {
  RequestId id = 0;
  Request request;
  std::vector<int32_t> tokens;  // that are known
  int32_t unknown = 0;          // tokens behind these, at most one a step in flight
  int32_t sampled_row = -1;     // row of the last unknown token among its step's sampled ids
  bool finished = false;        // what steps in flight still sample for it is dropped
  int32_t computed = 0;
  std::vector<int32_t> blocks;  // KV blocks in the order of positions
  int64_t last_step = 0;        // the last step that used the blocks
  int32_t preemptions = 0;
  std::chrono::steady_clock::time_point admitted;  // first; before that the clock's epoch

  int32_t size() const { return static_cast<int32_t>(tokens.size()) + unknown; }
  int32_t remaining() const { return size() - computed; }
  int32_t generated() const { return size() - static_cast<int32_t>(request.prompt.size()); }
  // All of its tokens are computed or in flight.
  bool complete() const { return request.max_tokens > 0 && generated() >= request.max_tokens; }
};

}  // namespace braid::engine

// From token ids to an answer's text, as it comes, ended by a token or a text.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/engine.h"
#include "text/tokenizer.h"

namespace braid::engine {

struct TextRequest {
  std::vector<int32_t> prompt;  // token ids
  SamplingParams sampling;
  int32_t max_tokens = 0;          // generated at most, at least 1
  std::vector<std::string> stops;  // the text, with its special tokens, ends before one of these
  int32_t logprobs = kNoLogprobs;  // see Request
};

struct TextResult {
  std::string text;                // without special tokens, and without what stopped it
  std::vector<int32_t> ids;        // every generated token, the one that stopped it included
  std::vector<Logprobs> logprobs;  // of each of them, where they are wanted
  FinishReason finished = FinishReason::length;
  int32_t prompt_tokens = 0;
  double prefill_seconds = 0;  // until the first token
  double decode_seconds = 0;   // from there to the last one

  double prefill_rate() const;  // prompt tokens a second
  double decode_rate() const;   // tokens a second, without the first; 0 when there was one only
};

// Called after each token with the text that has become certain, often empty; false ends the
// answer.
using TextSink = std::function<bool(std::string_view)>;

// Runs one request on an engine that is idle. The end-of-text tokens of the model's configuration
// end the answer.
Result<TextResult> generate_text(Engine& engine, const text::Tokenizer& tokenizer,
                                 const TextRequest& request, const TextSink& sink);

}  // namespace braid::engine

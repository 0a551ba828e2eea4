// From token ids to an answer's text, as it comes, ended by a token or a text.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/engine.h"
#include "text/text_stream.h"

namespace braid::engine {

// Cuts a growing text before the first stop text. Text that may be the beginning of a stop text is
// held back until it is known not to be one.
class StopFilter {
 public:
  // No stop text may be empty.
  explicit StopFilter(std::vector<std::string> stops);

  // The text that is certain now. Nothing once stopped().
  std::string append(std::string_view text) { return take(text, /*hidden=*/false); }
  // The same of text that stop texts are found in, but that is never given out: special tokens.
  std::string append_hidden(std::string_view text) { return take(text, /*hidden=*/true); }
  // What is still held back, once no text follows.
  std::string finish();
  bool stopped() const { return stopped_; }

 private:
  std::string take(std::string_view text, bool hidden);
  // Removes the first `bytes` of what is held, and gives out what isn't hidden.
  std::string release(size_t bytes);

  std::vector<std::string> stops_;
  std::string held_;
  std::vector<bool> hidden_;  // which bytes of held_ are
  bool stopped_ = false;
};

struct TextRequest {
  std::vector<int32_t> prompt;  // token ids
  SamplingParams sampling;
  int32_t max_tokens = 0;          // generated at most, at least 1
  std::vector<std::string> stops;  // the text, with its special tokens, ends before one of these
};

struct TextResult {
  std::string text;          // without special tokens, and without what stopped it
  std::vector<int32_t> ids;  // every generated token, the one that stopped it included
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

// Log probabilities of an answer's tokens, in OpenAI's two forms.
#pragma once

#include "base/json.h"
#include "engine/request.h"
#include "text/tokenizer.h"

namespace braid::server {

// Of one answer, token by token. A token that is a part of a character has the text U+FFFD, and
// `bytes` are those of its text.
class LogprobForm {
 public:
  // `tokenizer` must outlive this.
  LogprobForm(const text::Tokenizer& tokenizer, bool chat);

  void add(int32_t token, const engine::Logprobs& logprobs);
  // Of the tokens since the last call; null where there are none.
  Json take();

 private:
  Json chat_entry(int32_t token, float logprob) const;
  std::string text_of(int32_t token) const;

  const text::Tokenizer& tokenizer_;
  bool chat_;
  int64_t offset_ = 0;  // of the next token, in characters of the answer
  Json part_;
};

}  // namespace braid::server

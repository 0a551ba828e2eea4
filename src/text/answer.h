// An answer's text, made of its tokens as they come.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "text/stop_filter.h"
#include "text/text_stream.h"

namespace braid::text {

struct AnswerOptions {
  std::vector<std::string> stops;  // the text, with its special tokens, ends before one of these;
                                   // none may be empty
  bool includes_stop = false;      // or behind it, be it a text or a token
  bool skips_special = true;       // special tokens have no text
};

// One answer. What its functions return, joined, is its text; a part never ends inside a UTF-8
// character, and what may be the beginning of a stop text comes when it is certain that it is none.
// Not shared between threads.
class Answer {
 public:
  Answer(const Tokenizer& tokenizer, AnswerOptions options);

  // The text that is certain by a token; often empty.
  std::string append(int32_t token);
  // The same of the token that ends the answer. It has no text, unless the stop is included.
  std::string append_stop(int32_t token);
  // What was held back, once no token follows.
  std::string finish();

  // A stop text has come: tokens that follow don't count.
  bool stopped() const { return filter_.stopped(); }

 private:
  bool includes_stop_;
  TextStream stream_;
  StopFilter filter_;
};

}  // namespace braid::text

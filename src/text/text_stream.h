// Ids to text while they are generated.
#pragma once

#include <cstdint>
#include <string>

#include "text/decoder.h"
#include "text/tokenizer.h"

namespace braid::text {

// The text of one growing sequence of ids. What it returns, joined, is what Tokenizer::decode
// returns for all ids. A part never ends inside a UTF-8 character; what a later id may still change
// comes with that id. Not shared between threads.
class TextStream {
 public:
  TextStream(Tokenizer tokenizer, bool skip_special);

  // The text that became certain by this id; often empty within a character.
  std::string append(int32_t id);

  // The text of a special token that append() skips; empty for every other id.
  std::string skipped_text(int32_t id) const;

  // The rest, once no id follows.
  std::string finish();

 private:
  Tokenizer tokenizer_;
  Decoding decoding_;
  bool skip_special_;
};

}  // namespace braid::text

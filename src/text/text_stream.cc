#include "text/text_stream.h"

#include <utility>

namespace braid::text {

TextStream::TextStream(Tokenizer tokenizer, bool skip_special)
    : tokenizer_(std::move(tokenizer)),
      decoding_(tokenizer_.start_decoding()),
      skip_special_(skip_special) {}

std::string TextStream::append(int32_t id) {
  const std::string* token = tokenizer_.token_to_decode(id, skip_special_);
  if (token != nullptr) decoding_.push(*token);
  return decoding_.take();
}

std::string TextStream::skipped_text(int32_t id) const {
  if (!skip_special_ || !tokenizer_.is_special(id)) return {};
  const std::string* token = tokenizer_.token_to_decode(id, /*skip_special=*/false);
  return token == nullptr ? std::string() : *token;
}

std::string TextStream::finish() {
  decoding_.finish();
  return decoding_.take();
}

}  // namespace braid::text

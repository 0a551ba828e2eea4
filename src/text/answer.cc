#include "text/answer.h"

namespace braid::text {

Answer::Answer(const Tokenizer& tokenizer, AnswerOptions options)
    : includes_stop_(options.includes_stop),
      stream_(tokenizer, options.skips_special),
      filter_(std::move(options.stops), options.includes_stop) {}

// A skipped token has no text of its own, but may be a part of a stop text.
std::string Answer::append(int32_t token) {
  std::string text = filter_.append_hidden(stream_.skipped_text(token));
  return text + filter_.append(stream_.append(token));
}

std::string Answer::append_stop(int32_t token) {
  if (!includes_stop_) return {};
  const std::string skipped = stream_.skipped_text(token);
  return filter_.append(skipped.empty() ? stream_.append(token) : skipped);
}

std::string Answer::finish() {
  std::string text = filter_.append(stream_.finish());
  return text + filter_.finish();
}

}  // namespace braid::text

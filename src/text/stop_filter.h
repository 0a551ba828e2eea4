// Texts that end an answer, found while it grows.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace braid::text {

// Cuts a growing text before the first stop text, or behind it. Text that may be the beginning of a
// stop text is held back until it is known not to be one.
class StopFilter {
 public:
  // No stop text may be empty. With `keeps_stop` the text that stops is given out, too.
  explicit StopFilter(std::vector<std::string> stops, bool keeps_stop = false);

  // The text that is certain now. Nothing once stopped().
  std::string append(std::string_view text) { return take(text, /*hidden=*/false); }
  // The same of text that stop texts are found in, but that is never given out but as one of them:
  // special tokens.
  std::string append_hidden(std::string_view text) { return take(text, /*hidden=*/true); }
  // What is still held back, once no text follows.
  std::string finish();
  bool stopped() const { return stopped_; }

 private:
  std::string take(std::string_view text, bool hidden);
  // Removes the first `bytes` of what is held, and gives out what isn't hidden.
  std::string release(size_t bytes);

  std::vector<std::string> stops_;
  bool keeps_stop_;
  std::string held_;
  std::vector<bool> hidden_;  // which bytes of held_ are
  bool stopped_ = false;
};

}  // namespace braid::text

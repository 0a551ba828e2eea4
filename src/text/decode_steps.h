// The steps that decoders are chained from; see decoder.h.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace braid::text {

// One step at work on one stream of tokens; it passes its tokens on to the step behind it, which
// it owns. Not shared between threads.
class DecodeStep {
 public:
  virtual ~DecodeStep() = default;
  virtual void push(std::string_view token) = 0;
  // No token follows: gives what was held back, then finishes the step behind.
  virtual void finish() = 0;
};

using DecodeStepPtr = std::unique_ptr<DecodeStep>;

// Writes every token to `text`, which must outlive it: the end of a chain.
DecodeStepPtr make_collect_step(std::string& text);

// Puts a space between tokens.
DecodeStepPtr make_join_step(DecodeStepPtr next);

// Replaces `from` (not empty) by `to` in each token.
DecodeStepPtr make_replace_step(std::string from, std::string to, DecodeStepPtr next);

// Takes up to `start` times `content` from the front of each token, then up to `stop` times from
// its back. `fused`: the tokens are parts of one; what may be its back is held.
struct StripCounts {
  size_t start;
  size_t stop;
};
DecodeStepPtr make_strip_step(std::string content, StripCounts counts, bool fused,
                              DecodeStepPtr next);

// Joins runs of the tokens "<0x00>" … "<0xFF>" to the text of their bytes. A run that isn't valid
// UTF-8 as a whole gives one U+FFFD per byte, so a run is held until it ends.
DecodeStepPtr make_byte_fallback_step(DecodeStepPtr next);

// Reads tokens as bytes in the byte alphabet (a token with other characters as its own UTF-8) and
// gives their text; what isn't UTF-8 becomes U+FFFD. An unfinished character is held.
DecodeStepPtr make_byte_level_step(DecodeStepPtr next);

// Replaces `replacement` by a space; in the first token by nothing if `drop_first`.
DecodeStepPtr make_metaspace_step(std::string replacement, bool drop_first, DecodeStepPtr next);

}  // namespace braid::text

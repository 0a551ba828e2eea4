// What the steps of one encode share: bounds on its work and the working memory of regexes.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/status.h"

struct pcre2_real_match_data_8;
struct pcre2_real_match_context_8;

namespace braid::text {

// Bounds that honest files and texts don't reach.
struct EncodeLimits {
  uint32_t regex_steps = 10'000'000;       // backtracking steps of a match that begins at one byte
  std::chrono::milliseconds time{10'000};  // of one encode, looked at while regexes match
  size_t text_bytes = size_t{256} << 20;   // of a text, as given and as rewritten
};

// One encode. Not shared between threads.
class EncodeRun {
 public:
  explicit EncodeRun(const EncodeLimits& limits = {});

  // Errors: exhausted when a step makes a text longer than the limit. Chains of replacements in a
  // hostile file would otherwise multiply it without end.
  Status check_text_bytes(size_t bytes) const;

  // Errors: exhausted when the time is up at `now`.
  Status check_time(std::chrono::steady_clock::time_point now) const;

  pcre2_real_match_data_8* match_data() { return match_data_.get(); }
  pcre2_real_match_context_8* match_context() { return match_context_.get(); }

 private:
  EncodeLimits limits_;
  std::chrono::steady_clock::time_point deadline_;
  std::unique_ptr<pcre2_real_match_data_8, void (*)(pcre2_real_match_data_8*)> match_data_;
  std::unique_ptr<pcre2_real_match_context_8, void (*)(pcre2_real_match_context_8*)> match_context_;
};

}  // namespace braid::text

#include "text/encode_run.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace braid::text {
namespace {

constexpr uint32_t kMaxHeapKib = 65536;  // of one match, where it is interpreted

}  // namespace

EncodeRun::EncodeRun(const EncodeLimits& limits)
    : limits_(limits),
      deadline_(std::chrono::steady_clock::now() + limits.time),
      match_data_(pcre2_match_data_create(1, nullptr), &pcre2_match_data_free),
      match_context_(pcre2_match_context_create(nullptr), &pcre2_match_context_free) {
  BRAID_CHECK(match_data_ != nullptr && match_context_ != nullptr, "(out of memory)");
  pcre2_set_match_limit(match_context_.get(), limits.regex_steps);
  pcre2_set_heap_limit(match_context_.get(), kMaxHeapKib);
}

Status EncodeRun::check_text_bytes(size_t bytes) const {
  if (bytes <= limits_.text_bytes) return {};
  return Error(ErrorKind::exhausted, "the text to encode is too long, or becomes so on the way")
      .with("bytes", bytes)
      .with("limit", limits_.text_bytes);
}

Status EncodeRun::check_time(std::chrono::steady_clock::time_point now) const {
  if (now <= deadline_) return {};
  return Error(ErrorKind::exhausted, "splitting the text by regular expressions takes too long")
      .with("limit ms", limits_.time.count())
      .remedy("Shorten the text, or use a tokenizer.json with simpler patterns.");
}

}  // namespace braid::text

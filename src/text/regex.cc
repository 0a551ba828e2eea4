#include "text/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "text/regex_dialect.h"
#include "text/unicode.h"
#include "text/utf8.h"

namespace braid::text {
namespace {

constexpr size_t kMaxPatternBytes = 16384;

// Match starts tried between two looks at the clock: few at first, more while they are cheap.
constexpr size_t kFirstWindow = 256;
constexpr std::chrono::milliseconds kCheap{5};

std::string message_of(int code) {
  std::array<PCRE2_UCHAR, 256> buffer{};
  pcre2_get_error_message(code, buffer.data(), buffer.size());
  return reinterpret_cast<const char*>(buffer.data());
}

PCRE2_SPTR units_of(std::string_view text) { return reinterpret_cast<PCRE2_SPTR>(text.data()); }

size_t next_char(std::string_view text, size_t at) {
  return at < text.size() ? at + char_bytes(text[at]) : at + 1;
}

}  // namespace

Regex::Regex(pcre2_real_code_8* code, std::string_view pattern)
    : code_(code, [](pcre2_real_code_8* c) { pcre2_code_free(c); }), pattern_(pattern) {}

Result<Regex> Regex::compile(std::string_view pattern) {
  if (pattern.size() > kMaxPatternBytes) {
    return Error(ErrorKind::unsupported, "the regular expression is too long")
        .with("bytes", pattern.size())
        .with("limit", kMaxPatternBytes);
  }
  if (const size_t newer = find_newer(pattern); newer != std::string_view::npos) {
    return Error(ErrorKind::unsupported, "the regular expression names a character of Unicode 15+")
        .with("at byte", newer)
        .with("pattern", pattern);
  }
  const std::string translated = TRY(to_pcre2_dialect(pattern));
  const std::unique_ptr<pcre2_compile_context, decltype(&pcre2_compile_context_free)> context(
      pcre2_compile_context_create(nullptr), &pcre2_compile_context_free);
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  constexpr uint32_t kOptions =
      PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_USE_OFFSET_LIMIT | PCRE2_NEVER_BACKSLASH_C;
  int code = 0;
  size_t offset = 0;
  pcre2_code* compiled = pcre2_compile(units_of(translated), translated.size(), kOptions, &code,
                                       &offset, context.get());
  if (compiled == nullptr) {
    return Error(ErrorKind::corrupt_data, "cannot compile the regular expression")
        .with("reason", message_of(code))
        .with("pattern", pattern);
  }
  pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE);  // without it pcre2_match interprets
  return Regex(compiled, pattern);
}

Status Regex::find_all(std::string_view text, EncodeRun& run, std::vector<Span>& matches) const {
  matches.clear();
  std::string older;
  if (find_newer(text) != std::string_view::npos) {
    older = with_stand_ins(text);
    text = older;
  }
  size_t from = 0;
  Span found{};
  while (from <= text.size() && TRY(search(text, from, run, found))) {
    const bool empty = found.begin == found.end;
    if (empty && !matches.empty() && matches.back().end == found.end) {
      from = next_char(text, found.end);
    } else {
      matches.push_back(found);
      from = found.end;
    }
  }
  return {};
}

// PCRE2 limits the steps for each start of a match, not their sum: a pattern may still take steps
// quadratic in the text. So starts are tried in windows, with a look at the clock in between.
Result<bool> Regex::search(std::string_view text, size_t from, EncodeRun& run, Span& found) const {
  for (size_t window = kFirstWindow;;) {
    size_t last_start = from + std::min(window, text.size() - from);
    while (last_start < text.size() && is_continuation(text[last_start])) ++last_start;
    pcre2_set_offset_limit(run.match_context(), last_start);
    const auto match = [&](uint32_t options) {
      return pcre2_match(code_.get(), units_of(text), text.size(), from,
                         options | PCRE2_NO_UTF_CHECK, run.match_data(), run.match_context());
    };
    const auto before = std::chrono::steady_clock::now();
    int rc = match(0);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT) rc = match(PCRE2_NO_JIT);  // slower, in the heap
    const auto after = std::chrono::steady_clock::now();
    TRY(run.check_time(after));
    if (after - before < kCheap) window *= 2;
    if (rc >= 0) {
      const size_t* ends = pcre2_get_ovector_pointer(run.match_data());
      found = {ends[0], ends[1]};
      return true;
    }
    if (rc != PCRE2_ERROR_NOMATCH) {
      return Error(ErrorKind::exhausted, "matching a regular expression takes too much work")
          .with("reason", message_of(rc))
          .with("pattern", pattern_)
          .with("text bytes", text.size());
    }
    if (last_start == text.size()) return false;
    from = next_char(text, last_start);
  }
}

}  // namespace braid::text

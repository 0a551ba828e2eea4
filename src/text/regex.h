// Regular expressions over UTF-8 with bounded work, on PCRE2 (compiled to machine code if it can).
//
// Patterns are written in the dialect of tokenizer.json files (regex_dialect.h). Characters have
// the properties of Unicode 16: older ones stand in for those that PCRE2 doesn't know (unicode.h).
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "text/encode_run.h"

struct pcre2_real_code_8;

namespace braid::text {

// Bytes [begin, end) of a text.
struct Span {
  size_t begin;
  size_t end;
  bool operator==(const Span&) const = default;
};

// A compiled pattern. Immutable; any number of threads may match with it.
class Regex {
 public:
  // Errors: unsupported (outside the dialect, or too large), corrupt_data (no regular expression).
  static Result<Regex> compile(std::string_view pattern);

  // Sets `matches` to the successive matches in `text` (valid UTF-8), leftmost first, in order and
  // without overlap. A match is empty only if no match ends where it stands.
  // Errors: exhausted when a limit of the run is reached.
  Status find_all(std::string_view text, EncodeRun& run, std::vector<Span>& matches) const;

 private:
  Regex(pcre2_real_code_8* code, std::string_view pattern);
  // Sets `found` to the first match that begins at or behind `from`; false if there is none.
  Result<bool> search(std::string_view text, size_t from, EncodeRun& run, Span& found) const;

  std::shared_ptr<const pcre2_real_code_8> code_;
  std::string pattern_;
};

}  // namespace braid::text

// Pre-tokenizers: they cut a normalized text into the pieces that the model encodes one by one.
// From the field "pre_tokenizer".
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/component.h"
#include "text/encode_run.h"
#include "text/regex.h"

namespace braid::text {

// A text and its pieces: disjoint, in order, none empty. What no piece covers is dropped.
struct Pieces {
  // One piece, all of `text`; none for the empty text. `at_start`: nothing stands before it.
  Pieces(std::string text, bool at_start);

  std::string_view piece(const Span& span) const {
    return std::string_view(text).substr(span.begin, span.end - span.begin);
  }

  std::string text;
  std::vector<Span> spans;
  bool at_start;  // the byte at 0 is the first of the whole input
};

// Immutable; any number of threads may use one.
class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;

  // Cuts the pieces further, or rewrites their text. Errors: exhausted (limits of the run).
  virtual Status apply(Pieces& pieces, EncodeRun& run) const = 0;
};

// Supported: Split, ByteLevel, Digits, Punctuation, Metaspace, Sequence, and null (a null pointer).
// Errors: unsupported (another type or behavior), corrupt_data (a field missing or of another
// type).
Result<std::unique_ptr<const PreTokenizer>> parse_pre_tokenizer(const Json& component);

}  // namespace braid::text

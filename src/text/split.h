// How a text is cut at the matches of a pattern: the field "behavior" of pre-tokenizers.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "text/regex.h"

namespace braid::text {

// What becomes of the matches in "a-b--c", pattern "-":
enum class SplitBehavior {
  isolated,              // a|-|b|-|-|c
  removed,               // a|b|c
  merged_with_previous,  // a-|b-|-|c
  merged_with_next,      // a|-b|-|-c
  contiguous,            // a|-|b|--|c
};

// "Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous".
// Errors: unsupported.
Result<SplitBehavior> parse_split_behavior(std::string_view name);

// Appends the pieces of [0, size) of a text to `pieces`, shifted by `offset`, without empty ones.
// `matches` are in order and disjoint; `invert` takes what lies between them for the matches.
void append_split(size_t size, std::span<const Span> matches, SplitBehavior behavior, bool invert,
                  size_t offset, std::vector<Span>& pieces);

}  // namespace braid::text

// Python's str operations on UTF-8, without values or errors. Every search is linear in the text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace braid::text::tmpl {

enum class Side { left, right, both };

// Bytes; npos when `part` is not in `text` (from byte `from` on).
size_t find_first(std::string_view text, std::string_view part, size_t from = 0);
size_t find_last(std::string_view text, std::string_view part);

// Occurrences that don't overlap; an empty part occurs around every code point.
int64_t count_occurrences(std::string_view text, std::string_view part);

// The text without white space at its ends, or without the code points of `chars`.
std::string_view strip_space(std::string_view text, Side side);
std::string_view strip_chars(std::string_view text, std::string_view chars, Side side);

// The bytes that replace_all would return.
int64_t replaced_size(std::string_view text, std::string_view from, std::string_view to,
                      int64_t limit);
// The first `limit` occurrences (all when negative) of `from` replaced by `to`.
std::string replace_all(std::string_view text, std::string_view from, std::string_view to,
                        int64_t limit);

// Cuts at white space, or at `separator` (not empty), at most `limit` times (always when negative),
// from the left or from the right.
std::vector<std::string_view> split_space(std::string_view text, int64_t limit, Side from);
std::vector<std::string_view> split_at(std::string_view text, std::string_view separator,
                                       int64_t limit, Side from);

// Lines, cut at every line boundary that Python knows, with or without these.
std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends);

}  // namespace braid::text::tmpl

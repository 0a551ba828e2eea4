// Which known word was meant by an unknown one.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace braid {

// Levenshtein's distance: insertions, deletions and substitutions that turn `a` into `b`.
size_t edit_distance(std::string_view a, std::string_view b);

// The word that is spelled most alike, the first of equals: at most two changes away, or a third of
// the length of `word`; of a word of two or three letters one. Empty when there is none.
std::string nearest_word(std::string_view word, std::span<const std::string> known);

}  // namespace braid

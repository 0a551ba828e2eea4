// Character properties, cases and normal forms of Unicode as Hugging Face's tokenizers has them:
// what utf8proc (Unicode 15) gives, and tables where the two differ (unicode_tables.inc, measured
// by tools/make_tokenizer_unicode.py).
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace braid::text {

// White_Space.
bool is_white_space(char32_t code_point);

// A word character by UTS #18 (annex C, \w): Alphabetic, marks, decimal digits, connectors,
// joiners.
bool is_word(char32_t code_point);

// General category N: decimal digits, letters and other characters with a numeric value.
bool is_numeric(char32_t code_point);

// A character of ASCII that is neither letter, digit, blank nor control; above, general category P
// as of Unicode 7: what the pre-tokenizer Punctuation sets apart.
bool is_punctuation(char32_t code_point);

// PCRE2 has the tables of Unicode 14. A newer character is replaced by an older one that has the
// same category, script and number of bytes, and stands nearest to it: patterns match alike.

// The byte where the first character of Unicode 15 or 16 stands; npos if there is none.
size_t find_newer(std::string_view valid_utf8);
// The text with all of them replaced. Every other byte stays where it is.
std::string with_stand_ins(std::string_view valid_utf8);

// Each character in lower case (Unicode 17), without a look at its neighbours.
std::string to_lower_case(std::string_view valid_utf8);

enum class NormalForm { nfc, nfd, nfkc, nfkd };

// The text in a normal form of UAX #15 by the tables of Unicode 9: characters that are newer have
// no other form, combine with nothing and stay where they are. Errors: exhausted when memory runs
// out.
Result<std::string> to_normal_form(std::string_view valid_utf8, NormalForm form);

}  // namespace braid::text

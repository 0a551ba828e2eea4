// Character properties and normal forms of Unicode (version 15, from utf8proc).
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

enum class NormalForm { nfc, nfd, nfkc, nfkd };

// The text in a normal form of UAX #15. Errors: exhausted when memory runs out.
Result<std::string> to_normal_form(std::string_view valid_utf8, NormalForm form);

}  // namespace braid::text

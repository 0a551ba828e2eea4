// Text as Python sees it: sequences of code points, held here as valid UTF-8.
//
// Positions and lengths are code points unless a name says bytes. Character classes and case
// mappings are those of Python's str methods (Unicode 14, tables in unicode_*.inc). All functions
// but valid_utf8 require valid UTF-8.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace braid::text::tmpl {

// Well-formed UTF-8 without surrogates or overlong forms.
bool valid_utf8(std::string_view text);

int64_t count_code_points(std::string_view text);

// Bytes of the code point that starts with `lead`.
size_t sequence_bytes(char lead);

// The code point at byte `position`, which moves behind it.
char32_t next_code_point(std::string_view text, size_t& position);

void append_utf8(std::string& out, char32_t code);

// The byte at which code point `index` starts; text.size() when there are not that many.
size_t byte_offset(std::string_view text, int64_t index);

bool is_space(char32_t code);
bool is_alpha(char32_t code);
bool is_decimal(char32_t code);
bool is_digit(char32_t code);
bool is_numeric(char32_t code);
bool is_lower(char32_t code);
bool is_upper(char32_t code);
bool is_titlecase(char32_t code);
bool is_printable(char32_t code);

// Whether every cased letter is lower (upper) case, and there is one.
bool all_lower(std::string_view text);
bool all_upper(std::string_view text);

std::string to_upper(std::string_view text);
std::string to_lower(std::string_view text);
std::string to_title(std::string_view text);    // each word's first letter in title case
std::string capitalize(std::string_view text);  // first letter in title case, the rest lower

}  // namespace braid::text::tmpl

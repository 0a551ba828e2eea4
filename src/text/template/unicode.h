// Character classes and case mappings of Python's str methods (Unicode 14, tables in
// unicode_*.inc). Texts are valid UTF-8.
#pragma once

#include <string>
#include <string_view>

namespace braid::text::tmpl {

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

// The text between the quotes of a string literal, as Python reads it.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace braid::text::tmpl {

// "\r\n" and "\r" as "\n".
std::string normalize_newlines(std::string_view text);

// Replaces escapes: \n \t \r \b \f \v \a \\ \' \" \ooo \xhh \uhhhh \Uhhhhhhhh and the escaped
// newline, which is dropped. Other escapes stay as they are. Errors: unsupported for \N{...},
// surrogates and a backslash before a character outside of ASCII; corrupt_data for broken ones.
Result<std::string> unescape(std::string_view text);

}  // namespace braid::text::tmpl

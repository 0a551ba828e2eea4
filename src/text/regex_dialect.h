// Translates the regular expressions of a tokenizer.json into PCRE2's dialect.
//
// Their meaning is that of Oniguruma with its own syntax (doc/RE of Oniguruma), which differs from
// PCRE2 where it is easily overlooked: \s, \w, \h and \v name other sets, \p{Han} means the script
// and not its extensions, {n,m}+ and {n}? repeat twice, [a[b]] and && build sets, (?i) reaches only
// to the end of its alternative. What is equal is kept, what can be said in PCRE2 is rewritten, the
// rest is refused by name. PCRE2 must compile the result with UTF, UCP, MULTILINE and newline = LF.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"

namespace braid::text {

// Errors: unsupported (a construct outside the common ground), corrupt_data (an unfinished one).
Result<std::string> to_pcre2_dialect(std::string_view pattern);

}  // namespace braid::text

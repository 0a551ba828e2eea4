// What a text that is marked safe does to what is added to it, as markupsafe has it: HTML's special
// characters are escaped, unless they stand in a safe text themselves.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "text/template/runtime.h"
#include "text/template/value.h"

namespace braid::text::tmpl {

// `text` with &, <, >, ' and " as &amp; &lt; &gt; &#39; and &#34;.
std::string escape(std::string_view text);

// Appends str(value), escaped unless `value` is a safe text.
Status append_escaped(Runtime& runtime, const Value& value, std::string& out);

}  // namespace braid::text::tmpl

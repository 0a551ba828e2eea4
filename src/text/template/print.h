// str() and repr() of values, as Python prints them.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "text/template/runtime.h"
#include "text/template/value.h"

namespace braid::text::tmpl {

// Python's repr of a float: shortest digits that read back, '1.0', '1e+16', 'inf', 'nan'.
std::string float_repr(double value);

// Appends str(value). What has no stable text in Python (generators, functions, namespaces, loops)
// is refused.
Status append_str(Runtime& runtime, const Value& value, std::string& out);
Status append_repr(Runtime& runtime, const Value& value, std::string& out);

// str(value); a text is returned as it is, without a copy and with its mark.
Result<TextPtr> to_text(Runtime& runtime, const Value& value);

// repr of a text: in single quotes, or in double ones when it has single quotes only.
void append_quoted(std::string_view text, std::string& out);

}  // namespace braid::text::tmpl

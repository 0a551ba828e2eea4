// The methods of texts, lists, tuples and dicts.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "base/status.h"
#include "text/template/callable.h"
#include "text/template/runtime.h"
#include "text/template/text_ops.h"
#include "text/template/value.h"

namespace braid::text::tmpl {

// The method `name` bound to `object`; nothing when the object's type has no such attribute in
// Python. A method that would change the object is an undefined value, as the sandbox of jinja2
// makes it. Errors: an attribute that Python has and this engine lacks.
Result<std::optional<Value>> find_method(const Value& object, std::string_view name);

// The functions of `str`, in text_methods.cc.
std::span<const NamedFunction> text_methods();

// Shared with the filters of the same name.
Result<Value> replace_in_text(Runtime& runtime, const Text& text, const Text& from,
                              std::string_view to, int64_t limit, bool safe);
// Strips white space when `chars` is None. A safe text stays one.
Result<Value> strip_text(Runtime& runtime, const Text& text, const Value& chars, Side side);

}  // namespace braid::text::tmpl

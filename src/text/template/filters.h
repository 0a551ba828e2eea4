// The filters behind `|`. Each takes the filtered value as `self`.
#pragma once

#include <span>
#include <string_view>

#include "base/status.h"
#include "text/template/callable.h"

namespace braid::text::tmpl {

// The filter `name`, or null.
Function find_filter(std::string_view name);

// Whether jinja2 has a filter of that name, so that its lack is this engine's.
bool is_jinja_filter(std::string_view name);

// The error of running a filter (or test) that find_filter (or find_test) doesn't find.
Error no_such_filter(std::string_view name);
Error no_such_test(std::string_view name);

// The parts of the table, one a file.
std::span<const NamedFunction> text_filters();
std::span<const NamedFunction> number_filters();
std::span<const NamedFunction> sequence_filters();
std::span<const NamedFunction> selection_filters();

// An optional int argument; `fallback` when it is not given. Errors: another type.
Result<int64_t> int_argument(std::string_view filter, const Bound& bound, size_t i,
                             int64_t fallback);

// A text in lower case, other values as they are: how filters compare unless told otherwise.
Result<Value> ignore_case(Runtime& runtime, const Value& value);

}  // namespace braid::text::tmpl

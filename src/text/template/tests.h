// The tests behind `is`. Each takes the tested value as `self` and returns a bool.
#pragma once

#include <string_view>

#include "text/template/callable.h"

namespace braid::text::tmpl {

// The test `name`, or null.
Function find_test(std::string_view name);

// Whether jinja2 has a test of that name, so that its lack is this engine's.
bool is_jinja_test(std::string_view name);

}  // namespace braid::text::tmpl

// The functions that every template can call: range, namespace, dict, raise_exception and
// strftime_now.
#pragma once

#include <string>

#include "base/status.h"
#include "text/template/runtime.h"
#include "text/template/value.h"

namespace braid::text::tmpl {

// The global `name`, or an undefined value. Errors: a global of jinja2 that this engine lacks.
Result<Value> find_global(const std::string& name);

}  // namespace braid::text::tmpl

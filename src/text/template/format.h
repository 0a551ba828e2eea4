// Python's two ways to format: 'text %s' % values, and 'text {}'.format(values).
#pragma once

#include "base/status.h"
#include "text/template/callable.h"
#include "text/template/runtime.h"
#include "text/template/value.h"

namespace braid::text::tmpl {

// %s, %r, %d, %i, %x, %f (with a precision) and %%; a width padded with blanks or zeros. `values`
// is a tuple, or one value. Other conversions are refused. A safe format escapes what it takes in;
// it takes numbers alone as numbers, though Python reads texts there.
Result<Value> format_percent(Runtime& runtime, const Text& format, const Value& values);

// {}, {0}, {name}, {{ and }}; a format after ':' or '!', and paths into a value, are refused.
Result<Value> format_braces(Runtime& runtime, const Text& format, const Arguments& arguments);

}  // namespace braid::text::tmpl

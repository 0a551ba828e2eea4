// Python's arithmetic on numbers, and + and * on texts and sequences. Ints have 64 bits: what
// needs more is refused, never wrapped.
#pragma once

#include "base/status.h"
#include "text/template/runtime.h"
#include "text/template/value.h"

namespace braid::text::tmpl {

enum class Operator { add, subtract, multiply, divide, floor_divide, modulo, power };

// `left` op `right`. Errors: types that don't go together, division by zero, an int overflow.
Result<Value> arithmetic(Runtime& runtime, Operator op, const Value& left, const Value& right);

// -value, or +value.
Result<Value> signed_value(const Value& value, bool negative);

// A float as an int, rounded towards zero. Errors: NaN, infinity, more than 64 bits.
Result<int64_t> truncate(double value);

}  // namespace braid::text::tmpl

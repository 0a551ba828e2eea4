#include "text/template/arithmetic.h"

#include <cmath>

#include "text/template/escape.h"
#include "text/template/format.h"

namespace braid::text::tmpl {
namespace {

std::string_view symbol_of(Operator op) {
  switch (op) {
    case Operator::add: return "+";
    case Operator::subtract: return "-";
    case Operator::multiply: return "*";
    case Operator::divide: return "/";
    case Operator::floor_divide: return "//";
    case Operator::modulo: return "%";
    case Operator::power: return "**";
  }
  return "?";
}

Error overflow(Operator op) {
  return limitation("the result of '{}' has more than 64 bits", symbol_of(op));
}

Error zero_division() { return failure("division by zero"); }

Error mismatch(Operator op, const Value& left, const Value& right) {
  if (left.is_undefined()) return misuse("", left);
  if (right.is_undefined()) return misuse("", right);
  return failure("'{}' does not take a value of type '{}' and one of type '{}'", symbol_of(op),
                 left.type_name(), right.type_name());
}

// Rounded towards minus infinity; the lowest int divided by -1 is left to the caller.
int64_t floor_quotient(int64_t a, int64_t b) {
  const int64_t quotient = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

Result<Value> int_power(int64_t base, int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) return zero_division();
    return Value(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  int64_t result = 1;
  // Only 0, 1 and -1 have powers of more than 63 factors, and these repeat with period 2.
  if (exponent > 64 && base >= -1 && base <= 1) exponent = 64 + exponent % 2;
  for (int64_t i = 0; i < exponent; ++i) {
    if (__builtin_mul_overflow(result, base, &result)) return overflow(Operator::power);
  }
  return Value(result);
}

Result<Value> on_ints(Operator op, int64_t a, int64_t b) {
  int64_t result = 0;
  switch (op) {
    case Operator::add:
      if (__builtin_add_overflow(a, b, &result)) return overflow(op);
      return Value(result);
    case Operator::subtract:
      if (__builtin_sub_overflow(a, b, &result)) return overflow(op);
      return Value(result);
    case Operator::multiply:
      if (__builtin_mul_overflow(a, b, &result)) return overflow(op);
      return Value(result);
    case Operator::power: return int_power(a, b);
    default: break;
  }
  if (b == 0) return zero_division();
  if (op == Operator::divide) {
    return Value(static_cast<double>(static_cast<long double>(a) / static_cast<long double>(b)));
  }
  if (b == -1) {  // the machine's division of the lowest int traps
    if (op == Operator::modulo) return Value(int64_t{0});
    return __builtin_sub_overflow(0, a, &result) ? Result<Value>(overflow(op)) : Value(result);
  }
  if (op == Operator::floor_divide) return Value(floor_quotient(a, b));
  return Value(a - floor_quotient(a, b) * b);
}

// Python's divmod of floats: the remainder has the divisor's sign, and the quotient is the integer
// next to (a - remainder) / b.
Value float_divmod(Operator op, double a, double b) {
  double remainder = std::fmod(a, b);
  double quotient = (a - remainder) / b;
  if (remainder == 0) {
    remainder = std::copysign(0.0, b);
  } else if ((remainder < 0) != (b < 0)) {
    remainder += b;
    quotient -= 1;
  }
  if (op == Operator::modulo) return remainder;
  if (quotient == 0) return std::copysign(0.0, a / b);
  const double floor = std::floor(quotient);
  return quotient - floor > 0.5 ? floor + 1 : floor;
}

Result<Value> on_floats(Operator op, double a, double b) {
  switch (op) {
    case Operator::add: return Value(a + b);
    case Operator::subtract: return Value(a - b);
    case Operator::multiply: return Value(a * b);
    case Operator::divide: return b == 0 ? Result<Value>(zero_division()) : Value(a / b);
    case Operator::floor_divide:
    case Operator::modulo: return b == 0 ? Result<Value>(zero_division()) : float_divmod(op, a, b);
    case Operator::power: break;
  }
  if (a == 0 && b < 0) return zero_division();
  const double result = std::pow(a, b);
  if (std::isnan(result) && !std::isnan(a) && !std::isnan(b)) {
    return limitation("a fractional power of a negative number is complex");
  }
  if (std::isinf(result) && std::isfinite(a) && std::isfinite(b)) {
    return failure("the result of '**' is too large");
  }
  return Value(result);
}

Result<Value> repeat(Runtime& runtime, const Value& value, int64_t times) {
  times = std::max<int64_t>(times, 0);
  if (const Text* text = value.text()) {
    const auto size = static_cast<int64_t>(text->bytes.size());
    int64_t total = 0;
    if (__builtin_mul_overflow(size, times, &total)) total = runtime.limits().steps * 64;
    TRY(runtime.charge_bytes(static_cast<size_t>(total)));
    std::string out;
    out.reserve(static_cast<size_t>(total));
    for (int64_t i = 0; i < times && size > 0; ++i) out += text->bytes;
    return runtime.text(std::move(out), text->safe);
  }
  const auto& items = value.sequence()->values;
  int64_t total = 0;
  if (__builtin_mul_overflow(static_cast<int64_t>(items.size()), times, &total)) {
    total = runtime.limits().steps + 1;
  }
  TRY(runtime.charge(total));
  std::vector<Value> out;
  out.reserve(static_cast<size_t>(total));
  for (int64_t i = 0; i < times && !items.empty(); ++i) {
    out.insert(out.end(), items.begin(), items.end());
  }
  return value.is<List>() ? runtime.list(std::move(out)) : runtime.tuple(std::move(out));
}

// left + right. A safe text escapes one that isn't.
Result<Value> join_texts(Runtime& runtime, const Value& left, const Value& right) {
  if (!left.text()->safe && !right.text()->safe) {
    return runtime.text(left.text()->bytes + right.text()->bytes);
  }
  std::string out;
  TRY(append_escaped(runtime, left, out));
  TRY(append_escaped(runtime, right, out));
  return runtime.text(std::move(out), /*safe=*/true);
}

Result<Value> join_sequences(Runtime& runtime, const Value& left, const Value& right) {
  TRY(runtime.charge(1));
  std::vector<Value> values = left.sequence()->values;
  const auto& more = right.sequence()->values;
  values.insert(values.end(), more.begin(), more.end());
  return left.is<List>() ? runtime.list(std::move(values)) : runtime.tuple(std::move(values));
}

}  // namespace

Result<Value> arithmetic(Runtime& runtime, Operator op, const Value& left, const Value& right) {
  int64_t a = 0;
  int64_t b = 0;
  const bool left_int = left.as_int(a);
  const bool right_int = right.as_int(b);
  if (left_int && right_int) return on_ints(op, a, b);
  double x = 0;
  double y = 0;
  if (left.as_double(x) && right.as_double(y)) return on_floats(op, x, y);
  if (op == Operator::modulo && left.text() != nullptr) {
    return format_percent(runtime, *left.text(), right);
  }
  if (op == Operator::multiply) {
    if (right_int && (left.text() != nullptr || left.sequence() != nullptr)) {
      return repeat(runtime, left, b);
    }
    if (left_int && (right.text() != nullptr || right.sequence() != nullptr)) {
      return repeat(runtime, right, a);
    }
  }
  if (op == Operator::add && left.data().index() == right.data().index()) {
    if (left.text() != nullptr) return join_texts(runtime, left, right);
    if (left.sequence() != nullptr) return join_sequences(runtime, left, right);
  }
  return mismatch(op, left, right);
}

Result<Value> signed_value(const Value& value, bool negative) {
  int64_t integer = 0;
  if (value.as_int(integer)) {
    if (!negative) return Value(integer);
    int64_t result = 0;
    if (__builtin_sub_overflow(0, integer, &result)) return overflow(Operator::subtract);
    return Value(result);
  }
  if (const auto* real = value.get_if<double>()) return Value(negative ? -*real : *real);
  return misuse(negative ? "unary '-'" : "unary '+'", value);
}

Result<int64_t> truncate(double value) {
  if (!std::isfinite(value)) return failure("a float of {} has no int", value);
  const double whole = std::trunc(value);
  // -2^63 is an int, 2^63 is the first float past them.
  if (whole < -0x1p63 || whole >= 0x1p63) return not_supported("an int of more than 64 bits");
  return static_cast<int64_t>(whole);
}

}  // namespace braid::text::tmpl

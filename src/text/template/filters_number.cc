// Filters that make numbers.
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <optional>

#include "text/template/arithmetic.h"
#include "text/template/filters.h"
#include "text/template/runtime.h"
#include "text/template/text_ops.h"

namespace braid::text::tmpl {
namespace {

// Digits without their underscores, or nothing where an underscore does not stand between two.
std::optional<std::string> without_underscores(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto is_digit = [&](size_t at) {
      return at < text.size() && std::isalnum(static_cast<unsigned char>(text[at])) != 0;
    };
    if (text[i] != '_') {
      out += text[i];
    } else if (i == 0 || !is_digit(i - 1) || !is_digit(i + 1)) {
      return std::nullopt;
    }
  }
  return out;
}

// Python's float(text), or nothing. Inf and nan are floats, hex digits are not.
std::optional<double> parse_float(std::string_view text) {
  const auto digits = without_underscores(strip_space(text, Side::both));
  if (!digits || digits->empty()) return std::nullopt;
  if (digits->find_first_not_of("+-.0123456789eEinfatyINFATY") != std::string::npos) {
    return std::nullopt;
  }
  char* end = nullptr;
  const double value = std::strtod(digits->c_str(), &end);
  if (end != digits->c_str() + digits->size()) return std::nullopt;
  return value;
}

// Python's int(text, base), or nothing. Errors: more than 64 bits.
Result<std::optional<int64_t>> parse_int(std::string_view text, int64_t base) {
  const std::optional<int64_t> none;
  std::string_view digits = strip_space(text, Side::both);
  const bool negative = digits.starts_with('-');
  if (negative || digits.starts_with('+')) digits.remove_prefix(1);
  const char letter =
      digits.size() > 2 && digits[0] == '0' ? static_cast<char>(digits[1] | 0x20) : 0;
  const int64_t implied = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 0;
  if (implied != 0 && (base == implied || base == 0)) {
    digits.remove_prefix(digits[2] == '_' ? 3 : 2);
    base = implied;
  }
  if (base == 0) {
    if (digits.starts_with('0') && digits.find_first_not_of("0_") != std::string_view::npos) {
      return none;
    }
    base = 10;
  }
  if (base < 2 || base > 36) return none;
  const auto clean = without_underscores(digits);
  if (!clean || clean->empty() || std::isalnum(static_cast<unsigned char>((*clean)[0])) == 0) {
    return none;
  }
  const std::string signed_digits = (negative ? "-" : "") + *clean;
  int64_t value = 0;
  const auto end =
      std::from_chars(signed_digits.data(), signed_digits.data() + signed_digits.size(), value,
                      static_cast<int>(base));
  if (end.ptr != signed_digits.data() + signed_digits.size()) return none;
  if (end.ec != std::errc()) return not_supported("an int of more than 64 bits");
  return std::optional(value);
}

Result<Value> to_int(Runtime&, const Value& self, const Arguments& arguments) {
  const Bound bound = TRY(bind("int", arguments, {"default", "base"}));
  const Value fallback = bound.has(0) ? bound[0] : Value(int64_t{0});
  if (self.is_undefined()) return misuse("", self);
  int64_t integer = 0;
  if (self.as_int(integer)) return Value(integer);
  std::optional<double> real;
  if (const Text* text = self.text()) {
    const int64_t base = TRY(int_argument("int", bound, 1, 10));
    if (const auto parsed = TRY(parse_int(text->bytes, base))) return Value(*parsed);
    real = parse_float(text->bytes);
    if (real && !std::isfinite(*real)) return fallback;
  } else if (const auto* value = self.get_if<double>()) {
    real = *value;
    if (std::isnan(*real)) return fallback;
  }
  if (!real) return fallback;
  return Value(TRY(truncate(*real)));
}

Result<Value> to_float(Runtime&, const Value& self, const Arguments& arguments) {
  const Bound bound = TRY(bind("float", arguments, {"default"}));
  if (self.is_undefined()) return misuse("", self);
  double real = 0;
  if (self.as_double(real)) return Value(real);
  if (const Text* text = self.text()) {
    if (const auto parsed = parse_float(text->bytes)) return Value(*parsed);
  }
  return bound.has(0) ? bound[0] : Value(0.0);
}

Result<Value> absolute(Runtime&, const Value& self, const Arguments& arguments) {
  TRY(bind("abs", arguments, {}));
  int64_t integer = 0;
  if (self.as_int(integer)) return signed_value(Value(integer), integer < 0);
  if (const auto* real = self.get_if<double>()) return Value(std::fabs(*real));
  return misuse("the filter 'abs'", self);
}

// An int rounded half to even at 10^-precision.
Result<Value> round_int(int64_t value, int64_t precision) {
  if (precision >= 0) return Value(value);
  if (precision < -18) return not_supported("rounding an int to {} digits", precision);
  int64_t unit = 1;
  for (; precision < 0; ++precision) unit *= 10;
  int64_t rest = value % unit;
  if (rest < 0) rest += unit;
  int64_t rounded = value;
  if (__builtin_sub_overflow(value, rest, &rounded))
    return limitation("the rounded int {} has more than 64 bits", value);
  const bool up = rest > unit - rest || (rest == unit - rest && rounded / unit % 2 != 0);
  if (up && __builtin_add_overflow(rounded, unit, &rounded)) {
    return limitation("the rounded int {} has more than 64 bits", value);
  }
  return Value(rounded);
}

// A float rounded at 10^-precision by its exact decimal digits.
Result<Value> round_float(double value, int64_t precision) {
  if (precision < 0) return not_supported("rounding a float to {} digits", precision);
  if (precision > 330 || !std::isfinite(value)) return Value(value);  // no digits to round
  const std::string digits = fmt::format("{:.{}f}", value, static_cast<int>(precision));
  return Value(std::strtod(digits.c_str(), nullptr));
}

Result<Value> round(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound = TRY(bind("round", arguments, {"precision", "method"}));
  const int64_t precision = TRY(int_argument("round", bound, 0, 0));
  const Text* text = bound.or_none(1).text();
  const std::string method = bound.has(1) ? (text != nullptr ? text->bytes : "") : "common";
  int64_t integer = 0;
  double real = 0;
  if (!self.as_double(real)) return misuse("the filter 'round'", self);
  if (method == "common") {
    return self.as_int(integer) ? round_int(integer, precision) : round_float(real, precision);
  }
  if (method != "ceil" && method != "floor") {
    return failure("the filter 'round' knows the methods 'common', 'ceil' and 'floor'");
  }
  const Value scale =
      TRY(arithmetic(runtime, Operator::power, Value(int64_t{10}), Value(precision)));
  const Value scaled = TRY(arithmetic(runtime, Operator::multiply, self, scale));
  scaled.as_double(real);
  const int64_t whole = TRY(truncate(method == "ceil" ? std::ceil(real) : std::floor(real)));
  return arithmetic(runtime, Operator::divide, Value(whole), scale);
}

constexpr NamedFunction kNumberFilters[] = {
    {"abs", absolute}, {"float", to_float}, {"int", to_int}, {"round", round}};

}  // namespace

std::span<const NamedFunction> number_filters() { return kNumberFilters; }

}  // namespace braid::text::tmpl

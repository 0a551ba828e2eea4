#include "text/template/format.h"

#include <algorithm>
#include <charconv>

#include "text/template/arithmetic.h"
#include "text/template/escape.h"
#include "text/template/print.h"
#include "text/utf8.h"

namespace braid::text::tmpl {
namespace {

constexpr int kMaxWidth = 1000;  // of a padded field, and of a precision

bool is_ascii_digit(char c) { return c >= '0' && c <= '9'; }

// One conversion of a % format: %[0][width][.precision]type.
struct Conversion {
  bool zeros = false;
  int width = 0;
  int precision = -1;
  char type = 0;
};

// Reads the digits at `at`; 0 when there are none.
Result<int> read_number(std::string_view text, size_t& at) {
  int number = 0;
  for (; at < text.size() && is_ascii_digit(text[at]); ++at) {
    number = number * 10 + (text[at] - '0');
    if (number > kMaxWidth) return not_supported("a format wider than {}", kMaxWidth);
  }
  return number;
}

// Reads the conversion behind a % sign; `at` moves behind it.
Result<Conversion> read_conversion(std::string_view format, size_t& at) {
  Conversion out;
  if (at < format.size() && format[at] == '0') {
    out.zeros = true;
    ++at;
  }
  out.width = TRY(read_number(format, at));
  if (at < format.size() && format[at] == '.') {
    ++at;
    out.precision = TRY(read_number(format, at));
  }
  if (at == format.size()) return failure("a format ends in the middle of a '%' conversion");
  out.type = format[at++];
  const bool with_precision = out.type == 'f' || out.precision < 0;
  if (std::string_view("srdixf%").find(out.type) == std::string_view::npos || !with_precision) {
    return not_supported("the format '{}'", format);
  }
  return out;
}

Result<std::string> convert_number(const Conversion& conversion, const Value& value) {
  int64_t integer = 0;
  double real = 0;
  if (conversion.type == 'f') {
    if (!value.as_double(real)) return misuse("'%f'", value);
    return fmt::format("{:.{}f}", real, conversion.precision < 0 ? 6 : conversion.precision);
  }
  if (!value.as_int(integer)) {
    const bool decimal = conversion.type != 'x' && value.as_double(real);
    if (!decimal) return misuse(conversion.type == 'x' ? "'%x'" : "'%d'", value);
    integer = TRY(truncate(real));
  }
  return conversion.type == 'x' ? fmt::format("{:x}", integer) : fmt::format("{}", integer);
}

// The value as the conversion prints it, without its padding.
Result<std::string> convert(Runtime& runtime, const Conversion& conversion, const Value& value,
                            bool safe) {
  std::string field;
  if (conversion.type == 's') {
    TRY(safe ? append_escaped(runtime, value, field) : append_str(runtime, value, field));
    return field;
  }
  if (conversion.type == 'r') {
    TRY(append_repr(runtime, value, field));
    TRY(runtime.charge_bytes(field.size()));
    return safe ? escape(field) : field;
  }
  const bool reads_text = safe && (value.text() != nullptr || conversion.type == 'x');
  if (reads_text) {
    return not_supported("the conversion '%{}' of a '{}' in a safe format", conversion.type,
                         value.type_name());
  }
  return convert_number(conversion, value);
}

Status append_conversion(Runtime& runtime, const Conversion& conversion, const Value& value,
                         bool safe, std::string& out) {
  std::string field = TRY(convert(runtime, conversion, value, safe));
  const bool number = conversion.type != 's' && conversion.type != 'r';
  const auto missing = conversion.width - count_chars(field);
  if (missing > 0) {
    const bool zeros = conversion.zeros && number;
    const size_t behind_sign = zeros && field.starts_with('-') ? 1 : 0;
    field.insert(behind_sign, static_cast<size_t>(missing), zeros ? '0' : ' ');
  }
  TRY(runtime.charge_bytes(field.size()));
  out += field;
  return {};
}

// Which argument a field of a {} format means: "", a number or a name.
class Fields {
 public:
  explicit Fields(const Arguments& arguments) : arguments_(arguments) {}

  Result<const Value*> find(std::string_view field) {
    if (field.find_first_of(":!.[") != std::string_view::npos) {
      return not_supported("the format field '{{{}}}'", field);
    }
    const bool number = !field.empty() && std::all_of(field.begin(), field.end(), is_ascii_digit);
    if (!field.empty() && !number) return by_name(field);
    if (number == automatic_ && used_) {
      return failure("a format mixes numbered fields with fields that have no number");
    }
    automatic_ = !number;
    used_ = true;
    size_t index = next_++;
    if (number) {
      const auto end = std::from_chars(field.data(), field.data() + field.size(), index);
      if (end.ec != std::errc()) index = SIZE_MAX;
    }
    if (index >= arguments_.positional.size()) {
      return failure("a format uses argument {}, only {} are given", index,
                     arguments_.positional.size());
    }
    return &arguments_.positional[index];
  }

 private:
  Result<const Value*> by_name(std::string_view field) const {
    for (const auto& [name, value] : arguments_.named) {
      if (name == field) return &value;
    }
    return failure("a format uses the argument '{}', which is not given", field);
  }

  const Arguments& arguments_;
  size_t next_ = 0;
  bool automatic_ = false;
  bool used_ = false;
};

}  // namespace

Result<Value> format_percent(Runtime& runtime, const Text& format, const Value& values) {
  const std::string_view text = format.bytes;
  const auto* tuple = values.get_if<Tuple>();
  const size_t count = tuple == nullptr ? 1 : tuple->items->values.size();
  size_t used = 0;
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t percent = std::min(text.find('%', at), text.size());
    out += text.substr(at, percent - at);
    if (percent == text.size()) break;
    at = percent + 1;
    const Conversion conversion = TRY(read_conversion(text, at));
    if (conversion.type == '%') {
      out += '%';
      continue;
    }
    if (used == count) return failure("a format needs more than {} values", count);
    const Value& value = tuple == nullptr ? values : tuple->items->values[used];
    ++used;
    TRY(append_conversion(runtime, conversion, value, format.safe, out));
  }
  // What has items could give values by name, and may stay unused.
  const bool optional =
      values.is_undefined() || values.is<List>() || values.is<Dict>() || values.is<RangePtr>();
  if (used != count && !optional) return failure("a format uses {} of {} values", used, count);
  return runtime.text(std::move(out), format.safe);
}

Result<Value> format_braces(Runtime& runtime, const Text& format, const Arguments& arguments) {
  const std::string_view text = format.bytes;
  Fields fields(arguments);
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (c != '{' && c != '}') {
      out += text[at++];
      continue;
    }
    if (at + 1 < text.size() && text[at + 1] == c) {
      out += c;
      at += 2;
      continue;
    }
    const size_t close = text.find('}', at);
    if (c == '}' || close == std::string_view::npos) {
      return failure("a format has a single '{}'", c);
    }
    const std::string_view field = text.substr(at + 1, close - at - 1);
    const Value& value = *TRY(fields.find(field));
    TRY(format.safe ? append_escaped(runtime, value, out) : append_str(runtime, value, out));
    at = close + 1;
  }
  return runtime.text(std::move(out), format.safe);
}

}  // namespace braid::text::tmpl

#include "text/template/print.h"

#include <charconv>
#include <cmath>

#include "text/template/unicode.h"
#include "text/utf8.h"

namespace braid::text::tmpl {
namespace {

// Appends `items` between `open` and `close`; a tuple of one ends in a comma.
Status append_items(Runtime& runtime, const Items& items, std::string_view open,
                    std::string_view close, std::string& out) {
  out += open;
  for (size_t i = 0; i < items.values.size(); ++i) {
    if (i > 0) out += ", ";
    TRY(append_repr(runtime, items.values[i], out));
  }
  if (open == "(" && items.values.size() == 1) out += ",";
  out += close;
  return {};
}

Status append_dict(Runtime& runtime, const Entries& entries, std::string& out) {
  out += "{";
  bool first = true;
  for (const auto& [key, value] : entries.pairs) {
    if (!first) out += ", ";
    first = false;
    TRY(append_repr(runtime, key, out));
    out += ": ";
    TRY(append_repr(runtime, value, out));
  }
  out += "}";
  return {};
}

Status append_view(Runtime& runtime, const View& view, std::string_view type, std::string& out) {
  out += type;
  out += "([";
  bool first = true;
  for (const auto& [key, value] : view.dict.entries->pairs) {
    if (!first) out += ", ";
    first = false;
    const bool pair = view.part == View::Part::items;
    if (pair) out += "(";
    if (view.part != View::Part::values) TRY(append_repr(runtime, key, out));
    if (pair) out += ", ";
    if (view.part != View::Part::keys) TRY(append_repr(runtime, value, out));
    if (pair) out += ")";
  }
  out += "])";
  return {};
}

void append_range(const Range& range, std::string& out) {
  out += fmt::format("range({}, {}", range.start, range.stop);
  if (range.step != 1) out += fmt::format(", {}", range.step);
  out += ")";
}

void append_character(char32_t code, std::string& out) {
  if (code == '\n') {
    out += "\\n";
  } else if (code == '\r') {
    out += "\\r";
  } else if (code == '\t') {
    out += "\\t";
  } else if (is_printable(code)) {
    append_utf8(out, code);
  } else if (code < 0x100) {
    out += fmt::format("\\x{:02x}", static_cast<uint32_t>(code));
  } else if (code < 0x10000) {
    out += fmt::format("\\u{:04x}", static_cast<uint32_t>(code));
  } else {
    out += fmt::format("\\U{:08x}", static_cast<uint32_t>(code));
  }
}

}  // namespace

std::string float_repr(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[40];
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  const std::string_view text(buffer, static_cast<size_t>(end.ptr - buffer));
  const size_t e = text.find('e');
  int exponent = 0;
  // from_chars takes no plus sign.
  std::from_chars(text.data() + e + (text[e + 1] == '+' ? 2 : 1), text.data() + text.size(),
                  exponent);
  // Python writes exponents below -4 and from 16 on; the rest in full, with a fraction.
  if (exponent < -4 || exponent >= 16) return std::string(text);
  std::string digits;
  for (const char c : text.substr(0, e)) {
    if (c != '-' && c != '.') digits += c;
  }
  const int count = static_cast<int>(digits.size());
  if (exponent < 0) {
    digits = "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  } else if (count <= exponent + 1) {
    digits += std::string(static_cast<size_t>(exponent + 1 - count), '0') + ".0";
  } else {
    digits.insert(static_cast<size_t>(exponent) + 1, ".");
  }
  return std::signbit(value) ? "-" + digits : digits;
}

void append_quoted(std::string_view text, std::string& out) {
  const bool has_single = text.find('\'') != std::string_view::npos;
  const bool has_double = text.find('"') != std::string_view::npos;
  const char quote = has_single && !has_double ? '"' : '\'';
  out += quote;
  for (size_t at = 0; at < text.size();) {
    const char32_t code = read_char(text, at);
    if (code == static_cast<char32_t>(quote) || code == '\\') {
      out += '\\';
      out += static_cast<char>(code);
    } else {
      append_character(code, out);
    }
  }
  out += quote;
}

Status append_str(Runtime& runtime, const Value& value, std::string& out) {
  if (value.is_undefined()) return {};
  const Text* text = value.text();
  if (text == nullptr) return append_repr(runtime, value, out);
  TRY(runtime.charge_bytes(text->bytes.size()));
  out += text->bytes;
  return {};
}

Status append_repr(Runtime& runtime, const Value& value, std::string& out) {
  TRY(runtime.charge(1));
  if (const Text* text = value.text()) {
    TRY(runtime.charge_bytes(4 * text->bytes.size()));  // an escape is up to 4 bytes a byte
    if (text->safe) out += "Markup(";
    append_quoted(text->bytes, out);
    if (text->safe) out += ")";
  } else if (value.is_undefined()) {
    out += "Undefined";
  } else if (value.is_none()) {
    out += "None";
  } else if (const auto* boolean = value.get_if<bool>()) {
    out += *boolean ? "True" : "False";
  } else if (const auto* integer = value.get_if<int64_t>()) {
    out += fmt::format("{}", *integer);
  } else if (const auto* real = value.get_if<double>()) {
    out += float_repr(*real);
  } else if (const auto* list = value.get_if<List>()) {
    return append_items(runtime, *list->items, "[", "]", out);
  } else if (const auto* tuple = value.get_if<Tuple>()) {
    return append_items(runtime, *tuple->items, "(", ")", out);
  } else if (const Entries* entries = value.dict()) {
    return append_dict(runtime, *entries, out);
  } else if (const auto* range = value.get_if<RangePtr>()) {
    append_range(**range, out);
  } else if (const auto* view = value.get_if<ViewPtr>()) {
    return append_view(runtime, **view, value.type_name(), out);
  } else {
    return Error(ErrorKind::unsupported, fmt::format("a {} can't be printed", value.type_name()))
        .remedy("Turn it into a list, a text or a number first.");
  }
  return {};
}

Result<TextPtr> to_text(Runtime& runtime, const Value& value) {
  if (const auto* text = value.get_if<TextPtr>()) return *text;
  std::string bytes;
  TRY(append_str(runtime, value, bytes));
  const Value text = TRY(runtime.text(std::move(bytes)));
  return *text.get_if<TextPtr>();
}

}  // namespace braid::text::tmpl

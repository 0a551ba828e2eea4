// The methods of str. Each takes a Text as `self`.
#include <algorithm>

#include "text/template/escape.h"
#include "text/template/format.h"
#include "text/template/methods.h"
#include "text/template/print.h"
#include "text/template/sequence.h"
#include "text/template/text_ops.h"
#include "text/template/unicode.h"
#include "text/utf8.h"

namespace braid::text::tmpl {
namespace {

Result<const Text*> text_argument(std::string_view method, const Value& value) {
  if (const Text* text = value.text()) return text;
  return misuse(fmt::format("'{}'", method), value);
}

// An optional int; `fallback` when it is not given.
Result<int64_t> int_argument(std::string_view method, const Bound& bound, size_t i,
                             int64_t fallback) {
  if (!bound.has(i)) return fallback;
  int64_t value = 0;
  if (!bound[i].as_int(value)) return misuse(fmt::format("'{}'", method), bound[i]);
  return value;
}

template <std::string (*convert)(std::string_view)>
Result<Value> converted(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(bind("a method of a text", arguments, {}));
  TRY(runtime.charge_bytes(4 * self.text()->bytes.size()));
  return runtime.text(convert(self.text()->bytes), self.text()->safe);
}

// Whether there are code points and all of them pass `test`.
template <bool (*test)(char32_t)>
Result<Value> all_of(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(bind("a method of a text", arguments, {}));
  const std::string& text = self.text()->bytes;
  TRY(runtime.charge_bytes(text.size()));
  for (size_t at = 0; at < text.size();) {
    if (!test(read_char(text, at))) return Value(false);
  }
  return Value(!text.empty());
}

bool is_alnum(char32_t code) { return is_alpha(code) || is_numeric(code) || is_digit(code); }

Result<Value> is_ascii(Runtime&, const Value& self, const Arguments& arguments) {
  TRY(bind("isascii", arguments, {}));
  return Value(self.text()->is_ascii());
}

Result<Value> all_printable(Runtime& runtime, const Value& self, const Arguments& arguments) {
  if (self.text()->bytes.empty()) return Value(true);
  return all_of<is_printable>(runtime, self, arguments);
}

template <bool (*test)(std::string_view)>
Result<Value> cased(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(bind("a method of a text", arguments, {}));
  TRY(runtime.charge_bytes(self.text()->bytes.size()));
  return Value(test(self.text()->bytes));
}

template <Side side>
Result<Value> strip(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound = TRY(bind("strip", arguments, {"chars"}));
  return strip_text(runtime, *self.text(), bound.or_none(0), side);
}

// The parts of `whole`, safe if it is.
Result<Value> texts(Runtime& runtime, const Text& whole,
                    const std::vector<std::string_view>& parts) {
  std::vector<Value> values;
  values.reserve(parts.size());
  for (const std::string_view part : parts) {
    values.push_back(TRY(runtime.text(std::string(part), whole.safe)));
  }
  return runtime.list(std::move(values));
}

template <Side from>
Result<Value> split(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound = TRY(bind("split", arguments, {"sep", "maxsplit"}));
  const int64_t limit = TRY(int_argument("split", bound, 1, -1));
  const std::string& text = self.text()->bytes;
  // At most one part a code point.
  TRY(runtime.charge(static_cast<int64_t>(text.size() / 2)));
  if (bound.or_none(0).is_none())
    return texts(runtime, *self.text(), split_space(text, limit, from));
  const Text* separator = TRY(text_argument("split", bound[0]));
  if (separator->bytes.empty()) return failure("'split' has an empty separator");
  return texts(runtime, *self.text(), split_at(text, separator->bytes, limit, from));
}

template <Side from>
Result<Value> partition(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound = TRY(bind("partition", arguments, {"sep"}, 1));
  const Text* separator = TRY(text_argument("partition", bound[0]));
  if (separator->bytes.empty()) return failure("'partition' has an empty separator");
  const std::string& text = self.text()->bytes;
  TRY(runtime.charge_bytes(2 * text.size()));
  const size_t at =
      from == Side::left ? find_first(text, separator->bytes) : find_last(text, separator->bytes);
  const bool safe = self.text()->safe;
  const Value empty = TRY(runtime.text("", safe));
  if (at == std::string::npos) {
    return from == Side::left ? runtime.tuple({self, empty, empty})
                              : runtime.tuple({empty, empty, self});
  }
  const Value head = TRY(runtime.text(text.substr(0, at), safe));
  const Value middle = safe ? TRY(runtime.text(separator->bytes, safe)) : bound[0];
  const Value tail = TRY(runtime.text(text.substr(at + separator->bytes.size()), safe));
  return runtime.tuple({head, middle, tail});
}

Result<Value> splitlines(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound = TRY(bind("splitlines", arguments, {"keepends"}));
  TRY(runtime.charge(static_cast<int64_t>(self.text()->bytes.size() / 2)));
  return texts(runtime, *self.text(), split_lines(self.text()->bytes, bound.flag(0)));
}

// The part of a text between two optional bounds, which count from the end when negative.
struct Window {
  int64_t first = 0;  // code points
  int64_t last = 0;
  std::string_view bytes;
  bool valid = true;  // false when it starts behind its end or the text's
};

Result<Window> window(std::string_view method, const Text& text, const Bound& bound, size_t start) {
  Window out;
  // Unlike other ints a bound may be none.
  const auto read = [&](size_t i, int64_t fallback) {
    if (bound.or_none(i).is_none()) return Result<int64_t>(fallback);
    return int_argument(method, bound, i, fallback);
  };
  const auto clamp = [&](int64_t at) {
    return at < 0 ? std::max<int64_t>(std::max(at, -text.length) + text.length, 0) : at;
  };
  out.first = clamp(TRY(read(start, 0)));
  out.last = std::min(clamp(TRY(read(start + 1, text.length))), text.length);
  out.valid = out.first <= out.last;
  if (out.valid) out.bytes = cut(text, out.first, out.last);
  return out;
}

// find, rfind, index and rindex: code points from the text's start, or -1.
template <Side from, bool must_exist>
Result<Value> find(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound = TRY(bind("find", arguments, {"sub", "start", "end"}, 1));
  const Text* part = TRY(text_argument("find", bound[0]));
  TRY(runtime.charge_bytes(2 * self.text()->bytes.size()));
  const Window where = TRY(window("find", *self.text(), bound, 1));
  size_t at = std::string_view::npos;
  if (where.valid) {
    at = from == Side::left ? find_first(where.bytes, part->bytes)
                            : find_last(where.bytes, part->bytes);
  }
  if (at == std::string_view::npos) {
    if (must_exist) return failure("'index' does not find the text");
    return Value(int64_t{-1});
  }
  return Value(where.first + count_chars(where.bytes.substr(0, at)));
}

Result<Value> count(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound = TRY(bind("count", arguments, {"sub", "start", "end"}, 1));
  const Text* part = TRY(text_argument("count", bound[0]));
  TRY(runtime.charge_bytes(self.text()->bytes.size()));
  const Window where = TRY(window("count", *self.text(), bound, 1));
  return Value(where.valid ? count_occurrences(where.bytes, part->bytes) : int64_t{0});
}

template <Side side>
Result<Value> has_affix(Runtime& runtime, const Value& self, const Arguments& arguments) {
  constexpr std::string_view kName = side == Side::left ? "startswith" : "endswith";
  const Bound bound = TRY(bind(kName, arguments, {"affix", "start", "end"}, 1));
  TRY(runtime.charge_bytes(self.text()->bytes.size()));
  const Window where = TRY(window(kName, *self.text(), bound, 1));
  const auto matches = [&](const Text& affix) {
    return where.valid && (side == Side::left ? where.bytes.starts_with(affix.bytes)
                                              : where.bytes.ends_with(affix.bytes));
  };
  const auto* several = bound[0].get_if<Tuple>();
  if (several == nullptr) return Value(matches(*TRY(text_argument(kName, bound[0]))));
  bool any = false;
  for (const Value& affix : several->items->values) {
    const Text* text = TRY(text_argument(kName, affix));
    TRY(runtime.charge_bytes(text->bytes.size()));
    any = any || matches(*text);
  }
  return Value(any);
}

template <Side side>
Result<Value> remove_affix(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound = TRY(bind("removeprefix or removesuffix", arguments, {"affix"}, 1));
  const Text* affix = TRY(text_argument("removeprefix or removesuffix", bound[0]));
  std::string_view text = self.text()->bytes;
  if (side == Side::left && text.starts_with(affix->bytes)) {
    text.remove_prefix(affix->bytes.size());
  } else if (side == Side::right && text.ends_with(affix->bytes)) {
    text.remove_suffix(affix->bytes.size());
  }
  return runtime.text(std::string(text), self.text()->safe);
}

Result<Value> replace(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound = TRY(bind("replace", arguments, {"old", "new", "count"}, 2));
  const Text* from = TRY(text_argument("replace", bound[0]));
  const int64_t limit = TRY(int_argument("replace", bound, 2, -1));
  const Text& text = *self.text();
  if (!text.safe) {
    const Text* to = TRY(text_argument("replace", bound[1]));
    return replace_in_text(runtime, text, *from, to->bytes, limit, /*safe=*/false);
  }
  std::string to;
  TRY(append_escaped(runtime, bound[1], to));
  return replace_in_text(runtime, text, *from, to, limit, /*safe=*/true);
}

Result<Value> join(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound = TRY(bind("join", arguments, {"iterable"}, 1));
  const ItemsPtr items = TRY(iterate(runtime, bound[0]));
  const Text& separator = *self.text();
  std::string out;
  for (size_t i = 0; i < items->values.size(); ++i) {
    TRY(runtime.charge_bytes(separator.bytes.size()));
    if (i > 0) out += separator.bytes;
    if (separator.safe) {
      TRY(append_escaped(runtime, items->values[i], out));
    } else {
      TRY(text_argument("join", items->values[i]));
      TRY(append_str(runtime, items->values[i], out));
    }
  }
  return runtime.text(std::move(out), separator.safe);
}

Result<Value> format(Runtime& runtime, const Value& self, const Arguments& arguments) {
  return format_braces(runtime, *self.text(), arguments);
}

constexpr NamedFunction kTextMethods[] = {
    {"capitalize", converted<capitalize>},
    {"count", count},
    {"endswith", has_affix<Side::right>},
    {"find", find<Side::left, false>},
    {"format", format},
    {"index", find<Side::left, true>},
    {"isalnum", all_of<is_alnum>},
    {"isalpha", all_of<is_alpha>},
    {"isascii", is_ascii},
    {"isdecimal", all_of<is_decimal>},
    {"isdigit", all_of<is_digit>},
    {"islower", cased<all_lower>},
    {"isnumeric", all_of<is_numeric>},
    {"isprintable", all_printable},
    {"isspace", all_of<is_space>},
    {"isupper", cased<all_upper>},
    {"join", join},
    {"lower", converted<to_lower>},
    {"lstrip", strip<Side::left>},
    {"partition", partition<Side::left>},
    {"removeprefix", remove_affix<Side::left>},
    {"removesuffix", remove_affix<Side::right>},
    {"replace", replace},
    {"rfind", find<Side::right, false>},
    {"rindex", find<Side::right, true>},
    {"rpartition", partition<Side::right>},
    {"rsplit", split<Side::right>},
    {"rstrip", strip<Side::right>},
    {"split", split<Side::left>},
    {"splitlines", splitlines},
    {"startswith", has_affix<Side::left>},
    {"strip", strip<Side::both>},
    {"title", converted<to_title>},
    {"upper", converted<to_upper>},
};

}  // namespace

std::span<const NamedFunction> text_methods() { return kTextMethods; }

Result<Value> replace_in_text(Runtime& runtime, const Text& text, const Text& from,
                              std::string_view to, int64_t limit, bool safe) {
  TRY(runtime.charge_bytes(2 * text.bytes.size()));
  const int64_t size = replaced_size(text.bytes, from.bytes, to, limit);
  TRY(runtime.charge_bytes(static_cast<size_t>(size)));
  return runtime.text(replace_all(text.bytes, from.bytes, to, limit), safe);
}

Result<Value> strip_text(Runtime& runtime, const Text& text, const Value& chars, Side from) {
  TRY(runtime.charge_bytes(text.bytes.size()));
  if (chars.is_none()) return runtime.text(std::string(strip_space(text.bytes, from)), text.safe);
  const Text* set = TRY(text_argument("strip", chars));
  TRY(runtime.charge(set->length));
  return runtime.text(std::string(strip_chars(text.bytes, set->bytes, from)), text.safe);
}

}  // namespace braid::text::tmpl

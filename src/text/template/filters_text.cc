// Filters that make texts.
#include <algorithm>

#include "text/template/access.h"
#include "text/template/filters.h"
#include "text/template/format.h"
#include "text/template/json_text.h"
#include "text/template/methods.h"
#include "text/template/print.h"
#include "text/template/sequence.h"
#include "text/template/text_ops.h"
#include "text/template/unicode.h"
#include "text/utf8.h"

namespace braid::text::tmpl {
namespace {

enum class Mark { kept, lost };  // whether a safe text stays one

template <std::string (*convert)(std::string_view), Mark mark>
Result<Value> converted(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(bind("a filter of texts", arguments, {}));
  const TextPtr text = TRY(to_text(runtime, self));
  TRY(runtime.charge_bytes(4 * text->bytes.size()));
  return runtime.text(convert(text->bytes), text->safe && mark == Mark::kept);
}

// Words begin behind blanks, hyphens and opening brackets, unlike those of str.title().
std::string title_words(std::string_view text) {
  std::string out;
  const auto separates = [](char32_t code) {
    return is_space(code) || std::u32string_view(U"-({[<").find(code) != std::u32string_view::npos;
  };
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const bool separator = separates(read_char(text, at));
    const size_t behind_first = at;
    for (size_t next = at; next < text.size() && separates(read_char(text, next)) == separator;
         at = next) {
    }
    out += to_upper(text.substr(begin, behind_first - begin));
    out += to_lower(text.substr(behind_first, at - behind_first));
  }
  return out;
}

Result<Value> string(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(bind("string", arguments, {}));
  return Value(TRY(to_text(runtime, self)));
}

Result<Value> safe(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(bind("safe", arguments, {}));
  return runtime.text(TRY(to_text(runtime, self))->bytes, /*safe=*/true);
}

Result<Value> trim(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound = TRY(bind("trim", arguments, {"chars"}));
  const TextPtr text = TRY(to_text(runtime, self));
  return strip_text(runtime, *text, bound.or_none(0), Side::both);
}

Result<Value> replace(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound = TRY(bind("replace", arguments, {"old", "new", "count"}, 2));
  const TextPtr text = TRY(to_text(runtime, self));
  const TextPtr from = TRY(to_text(runtime, bound[0]));
  const TextPtr to = TRY(to_text(runtime, bound[1]));
  int64_t limit = -1;
  if (!bound.or_none(2).is_none()) limit = TRY(int_argument("replace", bound, 2, -1));
  return replace_in_text(runtime, *text, *from, to->bytes, limit, /*safe=*/false);
}

Result<Value> join(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound = TRY(bind("join", arguments, {"d", "attribute"}));
  std::string separator;
  if (bound.has(0)) separator = TRY(to_text(runtime, bound[0]))->bytes;
  const Path path = TRY(parse_path(runtime, bound.or_none(1)));
  const ItemsPtr items = TRY(iterate(runtime, self));
  std::string out;
  for (size_t i = 0; i < items->values.size(); ++i) {
    const Value item = TRY(follow(runtime, items->values[i], path));
    TRY(runtime.charge_bytes(separator.size()));
    if (i > 0) out += separator;
    TRY(append_str(runtime, item, out));
  }
  return runtime.text(std::move(out));
}

Result<Value> indent(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound = TRY(bind("indent", arguments, {"width", "first", "blank"}));
  if (self.text() == nullptr) return misuse("the filter 'indent'", self);
  std::string margin;
  const bool safe = self.text()->safe;
  if (bound.has(0) && bound[0].text() != nullptr) {
    if (bound[0].text()->safe && !safe) {
      return not_supported("a safe width of the filter 'indent' for a text that isn't safe");
    }
    margin = bound[0].text()->bytes;
  } else {
    const int64_t width = std::max<int64_t>(TRY(int_argument("indent", bound, 0, 4)), 0);
    TRY(runtime.charge_bytes(static_cast<size_t>(width)));
    margin.assign(static_cast<size_t>(width), ' ');
  }
  const bool blank = bound.flag(2);
  TRY(runtime.charge_bytes(self.text()->bytes.size()));
  std::string text = self.text()->bytes;
  text += '\n';  // so that text which ends in a newline has an empty last line
  const auto lines = split_lines(text, /*keep_ends=*/false);
  std::string out;
  for (size_t i = 0; i < lines.size(); ++i) {
    TRY(runtime.charge_bytes(margin.size() + lines[i].size()));
    if (i > 0) out += "\n";
    if (i == 0 ? bound.flag(1) : blank || !lines[i].empty()) out += margin;
    out += lines[i];
  }
  return runtime.text(std::move(out), safe);
}

Result<Value> format(Runtime& runtime, const Value& self, const Arguments& arguments) {
  if (!arguments.named.empty()) return not_supported("the filter 'format' with named arguments");
  const TextPtr text = TRY(to_text(runtime, self));
  return format_percent(runtime, *text, TRY(runtime.tuple(arguments.positional)));
}

// A separator of json.dumps: the texts behind and between.
Status read_separators(Runtime& runtime, const Value& value, JsonStyle& style) {
  const ItemsPtr pair = TRY(iterate(runtime, value));
  if (pair->values.size() != 2 || pair->values[0].text() == nullptr ||
      pair->values[1].text() == nullptr) {
    return failure("the separators of the filter 'tojson' are no pair of texts");
  }
  style.item_separator = pair->values[0].text()->bytes;
  style.key_separator = pair->values[1].text()->bytes;
  return {};
}

Result<Value> tojson(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound =
      TRY(bind("tojson", arguments, {"ensure_ascii", "indent", "separators", "sort_keys"}));
  JsonStyle style;
  style.ensure_ascii = bound.flag(0);
  style.sort_keys = bound.flag(3);
  const Value& indent = bound.or_none(1);
  if (indent.text() != nullptr) {
    style.indent = indent.text()->bytes;
  } else if (!indent.is_none()) {
    const int64_t width = std::max<int64_t>(TRY(int_argument("tojson", bound, 1, 0)), 0);
    TRY(runtime.charge_bytes(static_cast<size_t>(width)));
    style.indent = std::string(static_cast<size_t>(width), ' ');
  }
  if (style.indent) style.item_separator.resize(1);  // no blank before a newline
  if (!bound.or_none(2).is_none()) TRY(read_separators(runtime, bound[2], style));
  std::string out;
  TRY(append_json(runtime, self, style, out));
  return runtime.text(std::move(out));
}

constexpr NamedFunction kTextFilters[] = {{"capitalize", converted<capitalize, Mark::kept>},
                                          {"format", format},
                                          {"indent", indent},
                                          {"join", join},
                                          {"lower", converted<to_lower, Mark::kept>},
                                          {"replace", replace},
                                          {"safe", safe},
                                          {"string", string},
                                          {"title", converted<title_words, Mark::lost>},
                                          {"tojson", tojson},
                                          {"trim", trim},
                                          {"upper", converted<to_upper, Mark::kept>}};

}  // namespace

std::span<const NamedFunction> text_filters() { return kTextFilters; }

}  // namespace braid::text::tmpl

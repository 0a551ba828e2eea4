#include "text/template/json_text.h"

#include <cmath>

#include "base/json.h"
#include "text/template/print.h"
#include "text/template/sort.h"
#include "text/utf8.h"

namespace braid::text::tmpl {
namespace {

using Ordered = nlohmann::ordered_json;

Result<Value> text_from_json(Runtime& runtime, const std::string& text) {
  if (!is_valid_utf8(text)) {
    return Error(ErrorKind::usage, "a template's variable holds text that is not UTF-8")
        .with("bytes", text.size());
  }
  return runtime.text(text);
}

Result<Value> from_json(Runtime& runtime, const Ordered& json, int depth) {
  if (depth > kMaxNesting) {
    return Error(ErrorKind::exhausted, "a template's variable is nested too deeply")
        .with("limit", kMaxNesting);
  }
  switch (json.type()) {
    case Ordered::value_t::null: return Value();
    case Ordered::value_t::boolean: return Value(json.get<bool>());
    case Ordered::value_t::number_integer: return Value(json.get<int64_t>());
    case Ordered::value_t::number_float: return Value(json.get<double>());
    case Ordered::value_t::string:
      return text_from_json(runtime, json.get_ref<const std::string&>());
    case Ordered::value_t::number_unsigned: {
      const auto number = json.get<uint64_t>();
      if (number > INT64_MAX) return not_supported("an int of more than 64 bits, {},", number);
      return Value(static_cast<int64_t>(number));
    }
    case Ordered::value_t::array: {
      std::vector<Value> values;
      for (const Ordered& item : json) values.push_back(TRY(from_json(runtime, item, depth + 1)));
      return runtime.list(std::move(values));
    }
    case Ordered::value_t::object: {
      std::vector<std::pair<Value, Value>> pairs;
      for (const auto& [key, item] : json.items()) {
        Value name = TRY(text_from_json(runtime, key));
        pairs.emplace_back(std::move(name), TRY(from_json(runtime, item, depth + 1)));
      }
      return runtime.dict(std::move(pairs));
    }
    default: return not_supported("a template's variable of type '{}'", json.type_name());
  }
}

class Writer {
 public:
  Writer(Runtime& runtime, const JsonStyle& style, std::string& out)
      : runtime_(runtime), style_(style), out_(out) {}

  Status write(const Value& value) {
    TRY(runtime_.charge(1));
    if (const Text* text = value.text()) return write_text(text->bytes);
    if (const Items* items = value.sequence()) return write_items(*items);
    if (const Entries* entries = value.dict()) return write_dict(*entries);
    return write_scalar(value, "tojson");
  }

 private:
  Status write_scalar(const Value& value, std::string_view what) {
    if (value.is_none()) {
      out_ += "null";
    } else if (const auto* boolean = value.get_if<bool>()) {
      out_ += *boolean ? "true" : "false";
    } else if (const auto* integer = value.get_if<int64_t>()) {
      out_ += fmt::format("{}", *integer);
    } else if (const auto* real = value.get_if<double>()) {
      out_ += std::isnan(*real)   ? "NaN"
              : std::isinf(*real) ? (*real < 0 ? "-Infinity" : "Infinity")
                                  : float_repr(*real);
    } else {
      return misuse(what, value);
    }
    return {};
  }

  Status write_text(std::string_view text) {
    TRY(runtime_.charge_bytes(6 * text.size()));  // an escape is up to 6 bytes a byte
    out_ += '"';
    for (size_t at = 0; at < text.size();) write_code_point(read_char(text, at));
    out_ += '"';
    return {};
  }

  void write_code_point(char32_t code) {
    static constexpr std::string_view kEscaped = "\"\\\n\r\t\f\b";
    static constexpr std::string_view kLetters = "\"\\nrtfb";
    const size_t known =
        code < 0x80 ? kEscaped.find(static_cast<char>(code)) : std::string_view::npos;
    if (known != std::string_view::npos) {
      out_ += '\\';
      out_ += kLetters[known];
    } else if (code < 0x20 || (style_.ensure_ascii && code > 0x7e && code < 0x10000)) {
      out_ += fmt::format("\\u{:04x}", static_cast<uint32_t>(code));
    } else if (style_.ensure_ascii && code >= 0x10000) {
      const auto pair = static_cast<uint32_t>(code) - 0x10000;
      out_ += fmt::format("\\u{:04x}\\u{:04x}", 0xd800 + (pair >> 10), 0xdc00 + (pair & 0x3ff));
    } else {
      append_utf8(out_, code);
    }
  }

  Status write_items(const Items& items) {
    if (items.values.empty()) return (out_ += "[]", Status());
    out_ += "[";
    ++level_;
    for (size_t i = 0; i < items.values.size(); ++i) {
      TRY(start_item(i == 0));
      TRY(write(items.values[i]));
    }
    --level_;
    TRY(start_line());
    out_ += "]";
    return {};
  }

  Status write_dict(const Entries& entries) {
    if (entries.pairs.empty()) return (out_ += "{}", Status());
    std::vector<std::pair<Value, Value>> sorted;
    if (style_.sort_keys) {
      sorted = entries.pairs;
      TRY(sort_pairs_by_key(runtime_, sorted));
    }
    out_ += "{";
    ++level_;
    bool first = true;
    for (const auto& [key, value] : style_.sort_keys ? sorted : entries.pairs) {
      TRY(start_item(std::exchange(first, false)));
      TRY(write_key(key));
      out_ += style_.key_separator;
      TRY(write(value));
    }
    --level_;
    TRY(start_line());
    out_ += "}";
    return {};
  }

  Status write_key(const Value& key) {
    if (const Text* text = key.text()) return write_text(text->bytes);
    out_ += '"';
    TRY(write_scalar(key, "a key of tojson"));
    out_ += '"';
    return {};
  }

  Status start_item(bool first) {
    TRY(runtime_.charge_bytes(style_.item_separator.size() + style_.key_separator.size()));
    if (!first) out_ += style_.item_separator;
    return start_line();
  }

  Status start_line() {
    if (!style_.indent) return {};
    TRY(runtime_.charge_bytes(static_cast<size_t>(level_) * style_.indent->size()));
    out_ += '\n';
    for (int i = 0; i < level_; ++i) out_ += *style_.indent;
    return {};
  }

  Runtime& runtime_;
  const JsonStyle& style_;
  std::string& out_;
  int level_ = 0;
};

}  // namespace

Result<Value> from_json(Runtime& runtime, const Ordered& json) {
  return from_json(runtime, json, 0);
}

Status append_json(Runtime& runtime, const Value& value, const JsonStyle& style, std::string& out) {
  return Writer(runtime, style, out).write(value);
}

}  // namespace braid::text::tmpl

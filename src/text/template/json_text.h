// Values from and to JSON: the variables of a rendering, and the filter tojson.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "base/status.h"
#include "text/template/runtime.h"
#include "text/template/value.h"

namespace braid::text::tmpl {

// The value of a JSON document: objects keep the order of their keys, ints and floats stay apart.
// Errors: text that isn't UTF-8, ints beyond 64 bits with sign, binary data, too deep nesting.
Result<Value> from_json(Runtime& runtime, const nlohmann::ordered_json& json);

// The options of Python's json.dumps that templates use.
struct JsonStyle {
  bool ensure_ascii = false;  // write everything else as \uXXXX
  bool sort_keys = false;
  std::optional<std::string> indent;  // one item a line, each level indented by this
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};

// json.dumps(value). Errors: values that JSON lacks (undefined ones, generators, functions, ...).
Status append_json(Runtime& runtime, const Value& value, const JsonStyle& style, std::string& out);

}  // namespace braid::text::tmpl

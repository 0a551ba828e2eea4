#include "text/template/filters.h"

#include <algorithm>

#include "text/template/runtime.h"
#include "text/template/tests.h"
#include "text/template/unicode.h"

namespace braid::text::tmpl {
namespace {

constexpr std::string_view kLackedFilters[] = {
    "attr",      "center", "e",         "escape",   "filesizeformat", "forceescape",
    "groupby",   "pprint", "random",    "slice",    "striptags",      "truncate",
    "urlencode", "urlize", "wordcount", "wordwrap", "xmlattr"};

}  // namespace

Function find_filter(std::string_view name) {
  for (const auto part :
       {text_filters(), number_filters(), sequence_filters(), selection_filters()}) {
    if (const Function function = find_function(part, name)) return function;
  }
  return nullptr;
}

bool is_jinja_filter(std::string_view name) {
  return find_filter(name) != nullptr ||
         std::find(std::begin(kLackedFilters), std::end(kLackedFilters), name) !=
             std::end(kLackedFilters);
}

Error no_such_filter(std::string_view name) {
  if (is_jinja_filter(name)) return not_supported("the filter '{}'", name);
  return failure("there is no filter '{}'", name);
}

Error no_such_test(std::string_view name) {
  if (is_jinja_test(name)) return not_supported("the test '{}'", name);
  return failure("there is no test '{}'", name);
}

Result<int64_t> int_argument(std::string_view filter, const Bound& bound, size_t i,
                             int64_t fallback) {
  int64_t value = fallback;
  if (bound.has(i) && !bound[i].as_int(value)) {
    return misuse(fmt::format("the filter '{}'", filter), bound[i]);
  }
  return value;
}

Result<Value> ignore_case(Runtime& runtime, const Value& value) {
  const Text* text = value.text();
  if (text == nullptr) return value;
  TRY(runtime.charge_bytes(4 * text->bytes.size()));
  return runtime.text(to_lower(text->bytes));
}

}  // namespace braid::text::tmpl

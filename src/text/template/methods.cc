// Methods of containers, and the lookup of all methods.
#include "text/template/methods.h"

#include <algorithm>

#include "text/template/compare.h"

namespace braid::text::tmpl {
namespace {

// An optional int bound of a search in `size` items, as Python clamps it.
Result<int64_t> bound_argument(const Bound& bound, size_t i, int64_t fallback, int64_t size) {
  if (!bound.has(i)) return fallback;
  int64_t at = 0;
  if (!bound[i].as_int(at)) return misuse("'index'", bound[i]);
  if (at < 0) at = std::max<int64_t>(std::max(at, -size) + size, 0);
  return std::min(at, size);
}

Result<Value> index_of(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound = TRY(bind("index", arguments, {"value", "start", "stop"}, 1));
  const auto& values = self.sequence()->values;
  const auto size = static_cast<int64_t>(values.size());
  const int64_t stop = TRY(bound_argument(bound, 2, size, size));
  for (int64_t i = TRY(bound_argument(bound, 1, 0, size)); i < stop; ++i) {
    if (TRY(equal(runtime, values[static_cast<size_t>(i)], bound[0]))) return Value(i);
  }
  return failure("'index' does not find the value in the {}", self.type_name());
}

Result<Value> count_of(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound = TRY(bind("count", arguments, {"value"}, 1));
  int64_t count = 0;
  for (const Value& value : self.sequence()->values) {
    count += TRY(equal(runtime, value, bound[0])) ? 1 : 0;
  }
  return Value(count);
}

// Values never change, so a copy is the value itself.
Result<Value> copy_of(Runtime&, const Value& self, const Arguments& arguments) {
  TRY(bind("copy", arguments, {}));
  return self;
}

Result<Value> get(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound = TRY(bind("get", arguments, {"key", "default"}, 1));
  const Value* value = TRY(find_key(runtime, *self.dict(), bound[0]));
  return value != nullptr ? *value : bound.or_none(1);
}

template <View::Part part>
Result<Value> view(Runtime&, const Value& self, const Arguments& arguments) {
  TRY(bind("keys, values or items", arguments, {}));
  return Value(std::make_shared<const View>(View{part, *self.get_if<Dict>()}));
}

constexpr NamedFunction kListMethods[] = {
    {"copy", copy_of}, {"count", count_of}, {"index", index_of}};
constexpr NamedFunction kTupleMethods[] = {{"count", count_of}, {"index", index_of}};
constexpr NamedFunction kDictMethods[] = {{"copy", copy_of},
                                          {"get", get},
                                          {"items", view<View::Part::items>},
                                          {"keys", view<View::Part::keys>},
                                          {"values", view<View::Part::values>}};

using Names = std::span<const std::string_view>;

// What the sandbox refuses.
constexpr std::string_view kListChanges[] = {"append", "clear",   "extend", "insert",
                                             "pop",    "reverse", "remove", "sort"};
constexpr std::string_view kDictChanges[] = {"clear", "pop", "popitem", "setdefault", "update"};

// What Python has besides.
constexpr std::string_view kSafeTextLacks[] = {
    "escape",   "striptags", "unescape",  // which only a safe text has
    "casefold", "center",    "encode",   "expandtabs", "format_map", "istitle", "isidentifier",
    "ljust",    "maketrans", "rjust",    "swapcase",   "translate",  "zfill"};
constexpr std::string_view kDictLacks[] = {"fromkeys"};
constexpr std::string_view kNumberLacks[] = {
    "as_integer_ratio", "bit_count", "bit_length", "conjugate", "denominator",
    "from_bytes",       "fromhex",   "hex",        "imag",      "is_integer",
    "numerator",        "real",      "to_bytes"};
constexpr std::string_view kRangeLacks[] = {"count", "index", "start", "step", "stop"};
constexpr std::string_view kViewLacks[] = {"isdisjoint", "mapping"};
constexpr std::string_view kFunctionLacks[] = {"arguments",     "caller",   "catch_kwargs",
                                               "catch_varargs", "fromkeys", "name"};

bool is_among(Names names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

struct Attributes {
  std::span<const NamedFunction> methods;
  Names changes;
  Names lacks;
};

Attributes attributes_of(const Value& object) {
  if (const Text* text = object.text()) {
    return {text_methods(), {}, text->safe ? kSafeTextLacks : Names(kSafeTextLacks).subspan(3)};
  }
  if (object.is<List>()) return {kListMethods, kListChanges, {}};
  if (object.is<Tuple>()) return {kTupleMethods, {}, {}};
  if (object.is<Dict>()) return {kDictMethods, kDictChanges, kDictLacks};
  if (object.is<RangePtr>()) return {{}, {}, kRangeLacks};
  if (object.is<ViewPtr>()) return {{}, {}, kViewLacks};
  if (object.is<CallablePtr>()) return {{}, {}, kFunctionLacks};
  double number = 0;
  if (object.as_double(number)) return {{}, {}, kNumberLacks};
  return {};
}

}  // namespace

Result<std::optional<Value>> find_method(const Value& object, std::string_view name) {
  const Attributes attributes = attributes_of(object);
  if (const Function function = find_function(attributes.methods, name)) {
    return std::optional<Value>(std::make_shared<const Callable>(
        Callable{.name = std::string(name), .function = function, .self = object}));
  }
  if (is_among(attributes.changes, name)) {
    return std::optional<Value>(undefined(
        fmt::format("'{}' would change a {}, which templates may not", name, object.type_name())));
  }
  if (is_among(attributes.lacks, name)) {
    return not_supported("the attribute '{}' of a {}", name, object.type_name());
  }
  return std::optional<Value>();
}

}  // namespace braid::text::tmpl

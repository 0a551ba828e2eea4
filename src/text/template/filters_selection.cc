// map, and the filters that select items by a test.
#include "text/template/access.h"
#include "text/template/filters.h"
#include "text/template/sequence.h"
#include "text/template/tests.h"

namespace braid::text::tmpl {
namespace {

// The arguments behind the first `count`.
Arguments behind(const Arguments& arguments, size_t count) {
  Arguments out;
  out.positional.assign(arguments.positional.begin() + static_cast<int64_t>(count),
                        arguments.positional.end());
  out.named = arguments.named;
  return out;
}

// The filter or test that an argument names.
Result<Function> named_function(std::string_view kind, Function (*find)(std::string_view),
                                const Value& value) {
  const Text* name = value.text();
  if (name == nullptr) return misuse(fmt::format("the name of a {}", kind), value);
  if (const Function function = find(name->bytes)) return function;
  return not_supported("the {} '{}'", kind, name->bytes);
}

Result<Value> map_attribute(Runtime& runtime, const Items& items, const Arguments& arguments) {
  const Bound bound = TRY(bind("map", {.named = arguments.named}, {"attribute", "default"}));
  const Path path = TRY(parse_path(runtime, bound.or_none(0)));
  const Value& fallback = bound.or_none(1);
  std::vector<Value> values;
  for (const Value& item : items.values) {
    Value value = item;
    for (const Value& part : path) {
      value = TRY(get_item(runtime, value, part));
      if (value.is_undefined() && !fallback.is_none()) value = fallback;
    }
    values.push_back(std::move(value));
  }
  return runtime.iterator(std::move(values));
}

Result<Value> map(Runtime& runtime, const Value& self, const Arguments& arguments) {
  if (!self.truthy()) return runtime.iterator({});
  const ItemsPtr items = TRY(iterate(runtime, self));
  TRY(runtime.charge(static_cast<int64_t>(items->values.size())));
  if (arguments.positional.empty()) {
    if (arguments.named.empty()) return failure("map needs a filter or attribute=");
    return map_attribute(runtime, *items, arguments);
  }
  const Function filter = TRY(named_function("filter", find_filter, arguments.positional[0]));
  const Arguments rest = behind(arguments, 1);
  std::vector<Value> values;
  for (const Value& item : items->values) values.push_back(TRY(filter(runtime, item, rest)));
  return runtime.iterator(std::move(values));
}

// select and reject, or selectattr and rejectattr, whose first argument is a path.
template <bool keep, bool with_attribute>
Result<Value> select(Runtime& runtime, const Value& self, const Arguments& arguments) {
  constexpr size_t kOwn = with_attribute ? 1 : 0;
  if (!self.truthy()) return runtime.iterator({});
  if (arguments.positional.size() < kOwn) return failure("selectattr and rejectattr need a path");
  Path path;
  if (with_attribute) path = TRY(parse_path(runtime, arguments.positional[0]));
  Function test = nullptr;
  Arguments rest;
  if (arguments.positional.size() > kOwn) {
    test = TRY(named_function("test", find_test, arguments.positional[kOwn]));
    rest = behind(arguments, kOwn + 1);
  }
  const ItemsPtr items = TRY(iterate(runtime, self));
  TRY(runtime.charge(static_cast<int64_t>(items->values.size())));
  std::vector<Value> values;
  for (const Value& item : items->values) {
    Value tested = TRY(follow(runtime, item, path));
    if (test != nullptr) tested = TRY(test(runtime, tested, rest));
    if (tested.truthy() == keep) values.push_back(item);
  }
  return runtime.iterator(std::move(values));
}

constexpr NamedFunction kSelectionFilters[] = {{"map", map},
                                               {"reject", select<false, false>},
                                               {"rejectattr", select<false, true>},
                                               {"select", select<true, false>},
                                               {"selectattr", select<true, true>}};

}  // namespace

std::span<const NamedFunction> selection_filters() { return kSelectionFilters; }

}  // namespace braid::text::tmpl

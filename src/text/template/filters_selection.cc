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
Result<Function> named_filter(const Value& value) {
  const Text* name = value.text();
  if (name == nullptr) return misuse("the name of a filter", value);
  if (const Function function = find_filter(name->bytes)) return function;
  return no_such_filter(name->bytes);
}

Result<Function> named_test(const Value& value) {
  const Text* name = value.text();
  if (name == nullptr) return misuse("the name of a test", value);
  if (const Function function = find_test(name->bytes)) return function;
  return no_such_test(name->bytes);
}

Status map_attribute(Runtime& runtime, const Items& items, const Arguments& arguments,
                     std::vector<Value>& values) {
  const Bound bound = TRY(bind("map", arguments, {"attribute", "default"}, 1));
  const Path path = TRY(parse_path(runtime, bound[0]));
  const Value& fallback = bound.or_none(1);
  for (const Value& item : items.values) {
    Value value = item;
    for (const Value& part : path) {
      value = TRY(get_item(runtime, value, part));
      if (value.is_undefined() && !fallback.is_none()) value = fallback;
    }
    values.push_back(std::move(value));
  }
  return {};
}

Status map_items(Runtime& runtime, const Value& self, const Arguments& arguments,
                 std::vector<Value>& values) {
  if (!self.truthy()) return {};
  const ItemsPtr items = TRY(iterate(runtime, self));
  TRY(runtime.charge(static_cast<int64_t>(items->values.size())));
  if (arguments.positional.empty()) return map_attribute(runtime, *items, arguments, values);
  const Function filter = TRY(named_filter(arguments.positional[0]));
  const Arguments rest = behind(arguments, 1);
  for (const Value& item : items->values) values.push_back(TRY(filter(runtime, item, rest)));
  return {};
}

Result<Value> map(Runtime& runtime, const Value& self, const Arguments& arguments) {
  std::vector<Value> values;
  Status failure = map_items(runtime, self, arguments, values);
  return runtime.iterator(std::move(values), std::move(failure));
}

// select and reject (`keep` tells which), or selectattr and rejectattr, whose first argument is a
// path.
Status select_items(Runtime& runtime, const Value& self, const Arguments& arguments, bool keep,
                    bool with_attribute, std::vector<Value>& values) {
  const size_t own = with_attribute ? 1 : 0;
  if (!self.truthy()) return {};
  if (arguments.positional.size() < own) return failure("selectattr and rejectattr need a path");
  Path path;
  if (with_attribute) path = TRY(parse_path(runtime, arguments.positional[0]));
  Function test = nullptr;
  Arguments rest;
  if (arguments.positional.size() > own) {
    test = TRY(named_test(arguments.positional[own]));
    rest = behind(arguments, own + 1);
  }
  const ItemsPtr items = TRY(iterate(runtime, self));
  TRY(runtime.charge(static_cast<int64_t>(items->values.size())));
  for (const Value& item : items->values) {
    Value tested = TRY(follow(runtime, item, path));
    if (test != nullptr) tested = TRY(test(runtime, tested, rest));
    if (tested.truthy() == keep) values.push_back(item);
  }
  return {};
}

template <bool keep, bool with_attribute>
Result<Value> select(Runtime& runtime, const Value& self, const Arguments& arguments) {
  std::vector<Value> values;
  Status failure = select_items(runtime, self, arguments, keep, with_attribute, values);
  return runtime.iterator(std::move(values), std::move(failure));
}

constexpr NamedFunction kSelectionFilters[] = {{"map", map},
                                               {"reject", select<false, false>},
                                               {"rejectattr", select<false, true>},
                                               {"select", select<true, false>},
                                               {"selectattr", select<true, true>}};

}  // namespace

std::span<const NamedFunction> selection_filters() { return kSelectionFilters; }

}  // namespace braid::text::tmpl

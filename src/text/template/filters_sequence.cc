// Filters that measure, order and take apart sequences.
#include <algorithm>

#include "text/template/access.h"
#include "text/template/arithmetic.h"
#include "text/template/compare.h"
#include "text/template/filters.h"
#include "text/template/sequence.h"
#include "text/template/sort.h"

namespace braid::text::tmpl {
namespace {

Result<Value> length(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(bind("length", arguments, {}));
  return Value(TRY(length_of(runtime, self)));
}

Result<Value> default_value(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound = TRY(bind("default", arguments, {"default_value", "boolean"}));
  const bool missing = self.is_undefined() || (bound.flag(1) && !self.truthy());
  if (!missing) return self;
  return bound.has(0) ? Result<Value>(bound[0]) : runtime.text("");
}

Result<Value> list(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(bind("list", arguments, {}));
  return Value(List{TRY(iterate(runtime, self))});
}

Result<Value> first(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(bind("first", arguments, {}));
  if (const auto* iterator = self.get_if<IteratorPtr>()) {  // which loses just this item
    Iterator& it = **iterator;
    if (it.next < it.items->values.size()) return it.items->values[it.next++];
    TRY(it.failure);
  } else {
    const ItemsPtr items = TRY(iterate(runtime, self));
    if (!items->values.empty()) return items->values.front();
  }
  return undefined("the filter 'first' found an empty sequence");
}

Result<Value> last(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(bind("last", arguments, {}));
  if (self.is<IteratorPtr>()) return misuse("the filter 'last'", self);
  if (self.text() != nullptr && self.text()->length > 0) {
    return slice(runtime, self, Value(int64_t{-1}), Value(), Value(int64_t{1}));
  }
  const ItemsPtr items = TRY(iterate(runtime, self));
  if (!items->values.empty()) return items->values.back();
  return undefined("the filter 'last' found an empty sequence");
}

Result<Value> reverse(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(bind("reverse", arguments, {}));
  if (self.text() != nullptr) return slice(runtime, self, Value(), Value(), Value(int64_t{-1}));
  const ItemsPtr items = TRY(iterate(runtime, self));
  if (self.is<IteratorPtr>()) return runtime.list(reversed(*items));
  return runtime.iterator(reversed(*items));
}

Result<Value> items(Runtime& runtime, const Value& self, const Arguments& arguments) {
  TRY(bind("items", arguments, {}));
  std::vector<Value> pairs;
  Status failure;
  if (const Entries* entries = self.dict()) {
    for (const auto& [key, value] : entries->pairs) {
      pairs.push_back(TRY(runtime.tuple({key, value})));
    }
  } else if (!self.is_undefined()) {
    failure = misuse("the filter 'items'", self);
  }
  return runtime.iterator(std::move(pairs), std::move(failure));
}

// The value's own key: with attribute=, what that leads to; in lower case unless case_sensitive.
Result<Value> sort_key(Runtime& runtime, const Value& value, const Path& path,
                       bool case_sensitive) {
  const Value key = TRY(follow(runtime, value, path));
  return case_sensitive ? Result<Value>(key) : ignore_case(runtime, key);
}

// Python's sorted() takes only a bool or int for whether to reverse.
Status check_flag(const Bound& bound, size_t i) {
  int64_t flag = 0;
  if (!bound.has(i) || bound[i].as_int(flag)) return {};
  return misuse("'reverse' of a sorting filter", bound[i]);
}

std::vector<Value> take_values(std::vector<Keyed> keyed) {
  std::vector<Value> values;
  values.reserve(keyed.size());
  for (Keyed& item : keyed) values.push_back(std::move(item.value));
  return values;
}

// The paths of attribute="a,b.c".
Result<std::vector<Path>> parse_paths(Runtime& runtime, const Value& attribute) {
  const Text* text = attribute.text();
  if (text == nullptr) return std::vector<Path>{TRY(parse_path(runtime, attribute))};
  std::vector<Path> paths;
  std::string_view rest = text->bytes;
  while (true) {
    const size_t comma = std::min(rest.find(','), rest.size());
    const Value part = TRY(runtime.text(std::string(rest.substr(0, comma))));
    paths.push_back(TRY(parse_path(runtime, part)));
    if (comma == rest.size()) return paths;
    rest.remove_prefix(comma + 1);
  }
}

Result<Value> sort(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound = TRY(bind("sort", arguments, {"reverse", "case_sensitive", "attribute"}));
  const std::vector<Path> paths = TRY(parse_paths(runtime, bound.or_none(2)));
  TRY(check_flag(bound, 0));
  const ItemsPtr items = TRY(iterate(runtime, self));
  TRY(runtime.charge(static_cast<int64_t>(items->values.size() * paths.size())));
  std::vector<Keyed> keyed;
  for (const Value& value : items->values) {
    Keyed item{{}, value};
    for (const Path& path : paths) {
      item.keys.push_back(TRY(sort_key(runtime, value, path, bound.flag(1))));
    }
    keyed.push_back(std::move(item));
  }
  TRY(sort_by_keys(runtime, keyed, bound.flag(0)));
  return runtime.list(take_values(std::move(keyed)));
}

Result<Value> dictsort(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound = TRY(bind("dictsort", arguments, {"case_sensitive", "by", "reverse"}));
  const Entries* entries = self.dict();
  if (entries == nullptr) return misuse("the filter 'dictsort'", self);
  const Text* by = bound.or_none(1).text();
  if (bound.has(1) && (by == nullptr || (by->bytes != "key" && by->bytes != "value"))) {
    return failure("the filter 'dictsort' sorts by 'key' or 'value'");
  }
  TRY(check_flag(bound, 2));
  const bool by_value = by != nullptr && by->bytes == "value";
  std::vector<Keyed> keyed;
  for (const auto& [key, value] : entries->pairs) {
    Keyed item{{}, TRY(runtime.tuple({key, value}))};
    item.keys.push_back(TRY(sort_key(runtime, by_value ? value : key, {}, bound.flag(0))));
    keyed.push_back(std::move(item));
  }
  TRY(sort_by_keys(runtime, keyed, bound.flag(2)));
  return runtime.list(take_values(std::move(keyed)));
}

Status collect_unique(Runtime& runtime, const Value& self, const Bound& bound,
                      std::vector<Value>& values) {
  const Path path = TRY(parse_path(runtime, bound.or_none(1)));
  const ItemsPtr items = TRY(iterate(runtime, self));
  Entries seen;
  for (const Value& value : items->values) {
    const Value key = TRY(sort_key(runtime, value, path, bound.flag(0)));
    if (TRY(find_key(runtime, seen, key)) != nullptr) continue;
    seen.pairs.emplace_back(key, Value());
    values.push_back(value);
  }
  return {};
}

Result<Value> unique(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound = TRY(bind("unique", arguments, {"case_sensitive", "attribute"}));
  std::vector<Value> values;
  Status failure = collect_unique(runtime, self, bound, values);
  return runtime.iterator(std::move(values), std::move(failure));
}

template <bool greatest>
Result<Value> extreme(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound = TRY(bind("min or max", arguments, {"case_sensitive", "attribute"}));
  const Path path = TRY(parse_path(runtime, bound.or_none(1)));
  const ItemsPtr items = TRY(iterate(runtime, self));
  const Value* best = nullptr;
  Value best_key;
  for (const Value& value : items->values) {
    Value key = TRY(sort_key(runtime, value, path, bound.flag(0)));
    if (best != nullptr) {
      const auto compared = TRY(order(runtime, key, best_key));
      if (greatest ? !(compared > 0) : !(compared < 0)) continue;
    }
    best = &value;
    best_key = std::move(key);
  }
  return best != nullptr ? *best : undefined("the smallest or largest item of an empty sequence");
}

Result<Value> sum(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound = TRY(bind("sum", arguments, {"attribute", "start"}));
  const Path path = TRY(parse_path(runtime, bound.or_none(0)));
  const ItemsPtr items = TRY(iterate(runtime, self));
  Value total = bound.has(1) ? bound[1] : Value(int64_t{0});
  if (total.text() != nullptr) return misuse("the filter 'sum'", total);
  for (const Value& value : items->values) {
    const Value term = TRY(follow(runtime, value, path));
    total = TRY(arithmetic(runtime, Operator::add, total, term));
  }
  return total;
}

Result<Value> batch(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Bound bound = TRY(bind("batch", arguments, {"linecount", "fill_with"}, 1));
  const int64_t size = TRY(int_argument("batch", bound, 0, 0));
  if (size < 1) return not_supported("the filter 'batch' with less than one item a batch");
  const ItemsPtr items = TRY(iterate(runtime, self));
  const auto count = static_cast<int64_t>(items->values.size());
  std::vector<Value> batches;
  for (int64_t begin = 0; begin < count; begin += size) {
    const int64_t end = size < count - begin ? begin + size : count;
    std::vector<Value> values(items->values.begin() + begin, items->values.begin() + end);
    if (!bound.or_none(1).is_none()) {
      TRY(runtime.charge(size));
      values.resize(static_cast<size_t>(size), bound[1]);
    }
    batches.push_back(TRY(runtime.list(std::move(values))));
  }
  return runtime.iterator(std::move(batches));
}

constexpr NamedFunction kSequenceFilters[] = {
    {"batch", batch},       {"count", length}, {"d", default_value},   {"default", default_value},
    {"dictsort", dictsort}, {"first", first},  {"items", items},       {"last", last},
    {"length", length},     {"list", list},    {"max", extreme<true>}, {"min", extreme<false>},
    {"reverse", reverse},   {"sort", sort},    {"sum", sum},           {"unique", unique}};

}  // namespace

std::span<const NamedFunction> sequence_filters() { return kSequenceFilters; }

}  // namespace braid::text::tmpl

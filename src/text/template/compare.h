// Equality, order and membership of values, as Python's operators give them.
#pragma once

#include <compare>
#include <utility>
#include <vector>

#include "base/status.h"
#include "text/template/runtime.h"
#include "text/template/value.h"

namespace braid::text::tmpl {

enum class Comparison { equal, not_equal, less, less_equal, greater, greater_equal, in, not_in };

// `left` op `right`. Errors: types without an order; `in` a value that holds nothing.
Result<bool> compare(Runtime& runtime, Comparison op, const Value& left, const Value& right);

// left == right: 1 == 1.0 == true, lists never equal tuples, any two undefined values are equal.
Result<bool> equal(Runtime& runtime, const Value& left, const Value& right);

// The order of numbers, of texts by code point, of lists and of tuples item by item.
Result<std::partial_ordering> order(Runtime& runtime, const Value& left, const Value& right);

// item in container.
Result<bool> contains(Runtime& runtime, const Value& container, const Value& item);

// The value under `key`, or null. Errors: a key that can't be hashed (a list or dict).
Result<const Value*> find_key(Runtime& runtime, const Entries& entries, const Value& key);

// Builds a dict: a later value under an equal key replaces the earlier one in its place.
class DictBuilder {
 public:
  explicit DictBuilder(Runtime& runtime) : runtime_(runtime) {}

  Status set(Value key, Value value);
  Result<Value> finish() { return runtime_.dict(std::move(entries_.pairs)); }

 private:
  Runtime& runtime_;
  Entries entries_;
};

}  // namespace braid::text::tmpl

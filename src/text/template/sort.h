// Stable sorting by keys whose comparison can fail.
#pragma once

#include <utility>
#include <vector>

#include "base/status.h"
#include "text/template/runtime.h"
#include "text/template/value.h"

namespace braid::text::tmpl {

// A value and the keys that decide its place, the first differing one first.
struct Keyed {
  std::vector<Value> keys;
  Value value;
};

// As Python's sorted(): stable, also when reversed. Errors: keys without an order.
Status sort_by_keys(Runtime& runtime, std::vector<Keyed>& items, bool reverse);

Status sort_pairs_by_key(Runtime& runtime, std::vector<std::pair<Value, Value>>& pairs);

}  // namespace braid::text::tmpl

// Walking, measuring and cutting sequences.
#pragma once

#include <cstdint>

#include "base/status.h"
#include "text/template/runtime.h"
#include "text/template/value.h"

namespace braid::text::tmpl {

// The items that Python's iter() would give: a list's items, a text's characters, a dict's keys.
// An iterator is used up. Errors: a value that can't be walked.
Result<ItemsPtr> iterate(Runtime& runtime, const Value& value);

// Whether iterate() would take `value`.
bool is_iterable(const Value& value);

// len(value); an undefined value has none, so 0.
Result<int64_t> length_of(Runtime& runtime, const Value& value);

// value[start:stop:step] of a text, list, tuple or range; bounds are ints or None.
Result<Value> slice(Runtime& runtime, const Value& value, const Value& start, const Value& stop,
                    const Value& step);

// text[first:last] in code points, 0 <= first <= last <= length.
std::string_view cut(const Text& text, int64_t first, int64_t last);

// The items in reverse order.
std::vector<Value> reversed(const Items& items);

}  // namespace braid::text::tmpl

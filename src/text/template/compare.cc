#include "text/template/compare.h"

#include <cstring>
#include <string_view>

namespace braid::text::tmpl {
namespace {

// Types of numbers: an int of 64 bits fits long double exactly on the machines braid runs on.
bool as_number(const Value& value, long double& out) {
  int64_t integer = 0;
  if (value.as_int(integer)) {
    out = static_cast<long double>(integer);
    return true;
  }
  const auto* real = value.get_if<double>();
  if (real != nullptr) out = *real;
  return real != nullptr;
}

Status check_hashable(const Value& key) {
  if (const auto* tuple = key.get_if<Tuple>()) {
    for (const Value& item : tuple->items->values) TRY(check_hashable(item));
    return {};
  }
  if (key.is<List>() || key.is<Dict>() || key.is<ViewPtr>()) {
    return failure("a {} can't be a key", key.type_name());
  }
  return {};
}

Result<bool> equal_items(Runtime& runtime, const Items& left, const Items& right) {
  if (&left == &right) return true;
  if (left.values.size() != right.values.size()) return false;
  for (size_t i = 0; i < left.values.size(); ++i) {
    if (!TRY(equal(runtime, left.values[i], right.values[i]))) return false;
  }
  return true;
}

Result<bool> equal_dicts(Runtime& runtime, const Entries& left, const Entries& right) {
  if (&left == &right) return true;
  if (left.pairs.size() != right.pairs.size()) return false;
  for (const auto& [key, value] : left.pairs) {
    const Value* other = TRY(find_key(runtime, right, key));
    if (other == nullptr || !TRY(equal(runtime, value, *other))) return false;
  }
  return true;
}

bool equal_ranges(const Range& left, const Range& right) {
  const int64_t size = left.size();
  if (size != right.size()) return false;
  return size == 0 || (left.start == right.start && (size == 1 || left.step == right.step));
}

Result<std::partial_ordering> order_items(Runtime& runtime, const Items& left, const Items& right) {
  const size_t common = std::min(left.values.size(), right.values.size());
  for (size_t i = 0; i < common; ++i) {
    if (!TRY(equal(runtime, left.values[i], right.values[i]))) {
      return order(runtime, left.values[i], right.values[i]);
    }
  }
  return std::partial_ordering(left.values.size() <=> right.values.size());
}

Result<bool> contains_item(Runtime& runtime, const std::vector<Value>& values, const Value& item) {
  for (const Value& value : values) {
    if (TRY(equal(runtime, value, item))) return true;
  }
  return false;
}

Result<bool> contains_text(Runtime& runtime, const Text& text, const Value& item) {
  const Text* part = item.text();
  if (part == nullptr) return misuse("'in' a text", item);
  TRY(runtime.charge_bytes(text.bytes.size()));
  return memmem(text.bytes.data(), text.bytes.size(), part->bytes.data(), part->bytes.size()) !=
         nullptr;
}

Result<bool> contains_in_range(const Range& range, const Value& item) {
  double number = 0;
  if (!item.as_double(number)) return false;
  const double steps =
      (number - static_cast<double>(range.start)) / static_cast<double>(range.step);
  if (!(steps >= 0 && steps < static_cast<double>(range.size()))) return false;
  return static_cast<double>(range.at(static_cast<int64_t>(steps))) == number;
}

Result<bool> contains_in_view(Runtime& runtime, const View& view, const Value& item) {
  const Entries& entries = *view.dict.entries;
  if (view.part == View::Part::keys) return TRY(find_key(runtime, entries, item)) != nullptr;
  if (view.part == View::Part::values) {
    for (const auto& pair : entries.pairs) {
      if (TRY(equal(runtime, pair.second, item))) return true;
    }
    return false;
  }
  const auto* tuple = item.get_if<Tuple>();
  if (tuple == nullptr || tuple->items->values.size() != 2) return false;
  const Value* value = TRY(find_key(runtime, entries, tuple->items->values[0]));
  if (value == nullptr) return false;
  return equal(runtime, *value, tuple->items->values[1]);
}

// Looks at the items that are left, and uses them up as far as it looked.
Result<bool> contains_in_iterator(Runtime& runtime, Iterator& iterator, const Value& item) {
  while (iterator.next < iterator.items->values.size()) {
    if (TRY(equal(runtime, iterator.items->values[iterator.next++], item))) return true;
  }
  TRY(iterator.failure);
  return false;
}

}  // namespace

Result<bool> equal(Runtime& runtime, const Value& left, const Value& right) {
  TRY(runtime.charge(1));
  const Text* text = left.text();
  const Text* other_text = right.text();
  if (text != nullptr && other_text != nullptr) {
    if (text == other_text) return true;
    if (text->bytes.size() != other_text->bytes.size()) return false;
    TRY(runtime.charge_bytes(text->bytes.size()));
    return text->bytes == other_text->bytes;
  }
  long double a = 0;
  long double b = 0;
  if (as_number(left, a)) return as_number(right, b) && a == b;
  if (left.data().index() != right.data().index()) return false;
  if (left.is_undefined() || left.is_none()) return true;
  if (const Items* items = left.sequence()) return equal_items(runtime, *items, *right.sequence());
  if (const Entries* entries = left.dict()) return equal_dicts(runtime, *entries, *right.dict());
  if (const auto* range = left.get_if<RangePtr>()) {
    return equal_ranges(**range, **right.get_if<RangePtr>());
  }
  if (const auto* space = left.get_if<Namespace*>()) return *space == *right.get_if<Namespace*>();
  return limitation("values of type '{}' can't be compared", left.type_name());
}

Result<std::partial_ordering> order(Runtime& runtime, const Value& left, const Value& right) {
  TRY(runtime.charge(1));
  long double a = 0;
  long double b = 0;
  if (as_number(left, a) && as_number(right, b)) return a <=> b;
  const Text* text = left.text();
  const Text* other_text = right.text();
  if (text != nullptr && other_text != nullptr) {
    TRY(runtime.charge_bytes(std::min(text->bytes.size(), other_text->bytes.size())));
    // The order of UTF-8 bytes is that of code points.
    return std::partial_ordering(text->bytes.compare(other_text->bytes) <=> 0);
  }
  const Items* items = left.sequence();
  if (items != nullptr && left.data().index() == right.data().index()) {
    return order_items(runtime, *items, *right.sequence());
  }
  if (left.is_undefined()) return misuse("an order", left);
  if (right.is_undefined()) return misuse("an order", right);
  return failure("there is no order between a value of type '{}' and one of type '{}'",
                 left.type_name(), right.type_name());
}

Result<bool> contains(Runtime& runtime, const Value& container, const Value& item) {
  TRY(runtime.charge(1));
  if (container.is_undefined()) return false;
  if (const Text* text = container.text()) return contains_text(runtime, *text, item);
  if (const Items* items = container.sequence()) {
    return contains_item(runtime, items->values, item);
  }
  if (const Entries* entries = container.dict()) {
    return TRY(find_key(runtime, *entries, item)) != nullptr;
  }
  if (const auto* range = container.get_if<RangePtr>()) return contains_in_range(**range, item);
  if (const auto* view = container.get_if<ViewPtr>()) {
    return contains_in_view(runtime, **view, item);
  }
  if (const auto* iterator = container.get_if<IteratorPtr>()) {
    return contains_in_iterator(runtime, **iterator, item);
  }
  return misuse("the right side of 'in'", container);
}

Result<bool> compare(Runtime& runtime, Comparison op, const Value& left, const Value& right) {
  switch (op) {
    case Comparison::equal: return equal(runtime, left, right);
    case Comparison::not_equal: return !TRY(equal(runtime, left, right));
    case Comparison::in: return contains(runtime, right, left);
    case Comparison::not_in: return !TRY(contains(runtime, right, left));
    case Comparison::less: return TRY(order(runtime, left, right)) < 0;
    case Comparison::less_equal: return TRY(order(runtime, left, right)) <= 0;
    case Comparison::greater: return TRY(order(runtime, left, right)) > 0;
    case Comparison::greater_equal: return TRY(order(runtime, left, right)) >= 0;
  }
  return false;
}

Result<const Value*> find_key(Runtime& runtime, const Entries& entries, const Value& key) {
  TRY(check_hashable(key));
  TRY(runtime.charge(1 + static_cast<int64_t>(entries.pairs.size() / 8)));
  const Text* text = key.text();
  for (const auto& [candidate, value] : entries.pairs) {
    if (text == nullptr) {
      if (TRY(equal(runtime, candidate, key))) return &value;
    } else if (const Text* other = candidate.text(); other && other->bytes == text->bytes) {
      return &value;
    }
  }
  return static_cast<const Value*>(nullptr);
}

Status DictBuilder::set(Value key, Value value) {
  if (const Value* old = TRY(find_key(runtime_, entries_, key))) {
    for (auto& pair : entries_.pairs) {
      if (&pair.second != old) continue;
      pair.second = std::move(value);
      break;
    }
    return {};
  }
  entries_.pairs.emplace_back(std::move(key), std::move(value));
  return {};
}

}  // namespace braid::text::tmpl

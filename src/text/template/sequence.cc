#include "text/template/sequence.h"

#include "text/utf8.h"

#include <algorithm>

namespace braid::text::tmpl {
namespace {

Result<ItemsPtr> characters(Runtime& runtime, const Text& text) {
  TRY(runtime.charge(text.length));
  std::vector<Value> values;
  values.reserve(static_cast<size_t>(text.length));
  for (size_t at = 0; at < text.bytes.size();) {
    const size_t bytes = char_bytes(text.bytes[at]);
    values.push_back(TRY(runtime.text(text.bytes.substr(at, bytes))));
    at += bytes;
  }
  return runtime.items(std::move(values));
}

Result<ItemsPtr> view_items(Runtime& runtime, const Entries& entries, View::Part part) {
  std::vector<Value> values;
  values.reserve(entries.pairs.size());
  for (const auto& [key, value] : entries.pairs) {
    switch (part) {
      case View::Part::keys: values.push_back(key); break;
      case View::Part::values: values.push_back(value); break;
      case View::Part::items: values.push_back(TRY(runtime.tuple({key, value}))); break;
    }
  }
  return runtime.items(std::move(values));
}

Result<ItemsPtr> range_items(Runtime& runtime, const Range& range) {
  TRY(runtime.charge(range.size()));
  std::vector<Value> values;
  for (int64_t i = 0; i < range.size(); ++i) values.emplace_back(range.at(i));
  return runtime.items(std::move(values));
}

// The items that are left, which are used up.
Result<ItemsPtr> drain(Runtime& runtime, Iterator& iterator) {
  TRY(iterator.failure);
  const size_t first = std::exchange(iterator.next, iterator.items->values.size());
  if (first == 0) return iterator.items;
  const auto& all = iterator.items->values;
  return runtime.items({all.begin() + static_cast<int64_t>(first), all.end()});
}

// A slice of a sequence of `length` items: `count` items from `start` on, `step` apart.
struct Cut {
  int64_t start = 0;
  int64_t stop = 0;
  int64_t step = 1;
  int64_t count = 0;
};

Status read_bound(const Value& value, int64_t& out) {
  if (value.is_none() || value.as_int(out)) return {};
  return failure("a slice is bounded by ints or none, not by a value of type '{}'",
                 value.type_name());
}

Result<Cut> resolve(int64_t length, const Value& start, const Value& stop, const Value& step) {
  Cut cut;
  TRY(read_bound(step, cut.step));
  if (cut.step == 0) return failure("a slice's step is 0");
  const int64_t lowest = cut.step < 0 ? -1 : 0;
  const int64_t highest = cut.step < 0 ? length - 1 : length;
  const auto clamp = [&](int64_t bound) {
    if (bound < 0) bound = std::max(bound, -length - 1) + length;  // counts from the end
    return std::clamp(bound, lowest, highest);
  };
  cut.start = cut.step < 0 ? highest : lowest;
  cut.stop = cut.step < 0 ? lowest : highest;
  TRY(read_bound(start, cut.start));
  TRY(read_bound(stop, cut.stop));
  if (!start.is_none()) cut.start = clamp(cut.start);
  if (!stop.is_none()) cut.stop = clamp(cut.stop);
  if (cut.step > 0 && cut.start < cut.stop) cut.count = (cut.stop - cut.start - 1) / cut.step + 1;
  if (cut.step < 0 && cut.start > cut.stop) {
    // The distance divided by |step|, which has no int64 when step is the lowest.
    const uint64_t distance = static_cast<uint64_t>(cut.start - cut.stop - 1);
    cut.count = static_cast<int64_t>(distance / (0 - static_cast<uint64_t>(cut.step))) + 1;
  }
  return cut;
}

Result<Value> slice_text(Runtime& runtime, const Text& text, const Cut& cut) {
  if (cut.step == 1) {
    return runtime.text(std::string(tmpl::cut(text, cut.start, cut.start + cut.count)), text.safe);
  }
  TRY(runtime.charge(text.length));
  std::vector<size_t> offsets;  // where each code point starts
  for (size_t at = 0; at < text.bytes.size(); at += char_bytes(text.bytes[at])) {
    offsets.push_back(at);
  }
  std::string out;
  for (int64_t i = 0; i < cut.count; ++i) {
    const size_t at = offsets[static_cast<size_t>(cut.start + i * cut.step)];
    out.append(text.bytes, at, char_bytes(text.bytes[at]));
  }
  return runtime.text(std::move(out), text.safe);
}

std::vector<Value> slice_items(const Items& items, const Cut& cut) {
  std::vector<Value> values;
  values.reserve(static_cast<size_t>(cut.count));
  for (int64_t i = 0; i < cut.count; ++i) {
    values.push_back(items.values[static_cast<size_t>(cut.start + i * cut.step)]);
  }
  return values;
}

Result<Value> slice_range(const Range& range, const Cut& cut) {
  Range out{range.at(cut.start), range.at(cut.stop), 1};
  if (__builtin_mul_overflow(range.step, cut.step, &out.step) || out.step > kMaxRangeBound ||
      out.step < -kMaxRangeBound) {
    return not_supported("a range with steps beyond {}", kMaxRangeBound);
  }
  return Value(std::make_shared<const Range>(out));
}

}  // namespace

bool is_iterable(const Value& value) {
  return value.is_undefined() || value.text() != nullptr || value.sequence() != nullptr ||
         value.dict() != nullptr || value.is<RangePtr>() || value.is<ViewPtr>() ||
         value.is<IteratorPtr>() || value.is<LoopPtr>();
}

Result<ItemsPtr> iterate(Runtime& runtime, const Value& value) {
  TRY(runtime.charge(1));
  if (value.is_undefined()) return runtime.items({});
  if (const auto* list = value.get_if<List>()) return list->items;
  if (const auto* tuple = value.get_if<Tuple>()) return tuple->items;
  if (const Text* text = value.text()) return characters(runtime, *text);
  if (const Entries* entries = value.dict()) {
    return view_items(runtime, *entries, View::Part::keys);
  }
  if (const auto* range = value.get_if<RangePtr>()) return range_items(runtime, **range);
  if (const auto* view = value.get_if<ViewPtr>()) {
    return view_items(runtime, *(*view)->dict.entries, (*view)->part);
  }
  if (const auto* iterator = value.get_if<IteratorPtr>()) return drain(runtime, **iterator);
  if (value.is<LoopPtr>()) return not_supported("walking over 'loop' itself");
  return misuse("iteration", value);
}

Result<int64_t> length_of(Runtime&, const Value& value) {
  if (value.is_undefined()) return int64_t{0};
  if (const Text* text = value.text()) return text->length;
  if (const Items* items = value.sequence()) return static_cast<int64_t>(items->values.size());
  if (const Entries* entries = value.dict()) return static_cast<int64_t>(entries->pairs.size());
  if (const auto* range = value.get_if<RangePtr>()) return (*range)->size();
  if (const auto* view = value.get_if<ViewPtr>()) {
    return static_cast<int64_t>((*view)->dict.entries->pairs.size());
  }
  if (value.is<LoopPtr>()) return not_supported("the length of 'loop' itself");
  return misuse("length", value);
}

Result<Value> slice(Runtime& runtime, const Value& value, const Value& start, const Value& stop,
                    const Value& step) {
  const Text* text = value.text();
  const Items* items = value.sequence();
  const auto* range = value.get_if<RangePtr>();
  if (text == nullptr && items == nullptr && range == nullptr) return misuse("a slice", value);
  const Cut cut = TRY(resolve(TRY(length_of(runtime, value)), start, stop, step));
  if (text != nullptr) return slice_text(runtime, *text, cut);
  if (range != nullptr) return slice_range(**range, cut);
  std::vector<Value> values = slice_items(*items, cut);
  return value.is<List>() ? runtime.list(std::move(values)) : runtime.tuple(std::move(values));
}

std::string_view cut(const Text& text, int64_t first, int64_t last) {
  const std::string_view bytes = text.bytes;
  if (text.is_ascii()) {
    return bytes.substr(static_cast<size_t>(first), static_cast<size_t>(last - first));
  }
  const size_t begin = byte_offset(bytes, first);
  return bytes.substr(begin, byte_offset(bytes.substr(begin), last - first));
}

std::vector<Value> reversed(const Items& items) {
  return {items.values.rbegin(), items.values.rend()};
}

}  // namespace braid::text::tmpl

#include "text/template/access.h"

#include <charconv>

#include "text/template/compare.h"
#include "text/template/methods.h"
#include "text/template/print.h"
#include "text/template/sequence.h"
#include "text/template/text_ops.h"

namespace braid::text::tmpl {
namespace {

// Python's internals: the sandbox makes them undefined values that can't be used.
bool is_internal(std::string_view name) { return name.starts_with("__") && name.ends_with("__"); }

Value internal_attribute(std::string_view name) {
  return undefined(fmt::format("'{}' is internal to Python, templates may not use it", name));
}

Value missing_attribute(const Value& object, std::string_view name) {
  if (object.is_none()) return undefined(fmt::format("none has no attribute '{}'", name));
  return undefined(fmt::format("a {} has no attribute '{}'", object.type_name(), name));
}

Result<Value> loop_changed(Runtime& runtime, const Value& self, const Arguments& arguments) {
  if (!arguments.named.empty()) return failure("loop.changed takes no named arguments");
  Loop& loop = **self.get_if<LoopPtr>();
  const ItemsPtr current = TRY(runtime.items(arguments.positional));
  const ItemsPtr last = std::exchange(loop.last_changed, current);
  if (last == nullptr) return Value(true);
  return Value(!TRY(equal(runtime, List{last}, List{current})));
}

Result<Value> loop_cycle(Runtime&, const Value& self, const Arguments& arguments) {
  if (!arguments.named.empty()) return failure("loop.cycle takes no named arguments");
  if (arguments.positional.empty()) return failure("loop.cycle needs something to cycle through");
  const Loop& loop = **self.get_if<LoopPtr>();
  return arguments.positional[static_cast<size_t>(loop.index0) % arguments.positional.size()];
}

Result<Value> neighbour(Loop& loop, int64_t offset, std::string_view name) {
  const int64_t at = loop.index0 + offset;
  if (at >= 0) {
    if (const Value* item = TRY(loop.at(at))) return *item;
  }
  return undefined(fmt::format("there is no loop.{} here", name));
}

Result<Value> loop_attribute(const LoopPtr& pointer, const std::string& name) {
  Loop& loop = *pointer;
  if (name == "index") return Value(loop.index0 + 1);
  if (name == "index0") return Value(loop.index0);
  if (name == "revindex") return Value(TRY(loop.length()) - loop.index0);
  if (name == "revindex0") return Value(TRY(loop.length()) - loop.index0 - 1);
  if (name == "first") return Value(loop.index0 == 0);
  if (name == "last") return Value(TRY(loop.at(loop.index0 + 1)) == nullptr);
  if (name == "length") return Value(TRY(loop.length()));
  if (name == "depth") return Value(int64_t{1});
  if (name == "depth0") return Value(int64_t{0});
  if (name == "previtem") return neighbour(loop, -1, name);
  if (name == "nextitem") return neighbour(loop, 1, name);
  if (name == "cycle" || name == "changed") {
    return Value(std::make_shared<const Callable>(
        Callable{.name = "loop." + name,
                 .function = name == "cycle" ? loop_cycle : loop_changed,
                 .self = pointer}));
  }
  return missing_attribute(pointer, name);
}

Value namespace_attribute(const Namespace& space, const Value& object, const std::string& name) {
  const Value* value = space.find(name);
  return value != nullptr ? *value : missing_attribute(object, name);
}

// The attribute `name` in Python's sense; nothing when there is none.
Result<std::optional<Value>> find_attribute(const Value& object, const std::string& name) {
  if (is_internal(name)) return std::optional(internal_attribute(name));
  if (const auto* space = object.get_if<Namespace*>()) {
    return std::optional(namespace_attribute(**space, object, name));
  }
  if (const auto* loop = object.get_if<LoopPtr>()) {
    return std::optional(TRY(loop_attribute(*loop, name)));
  }
  return find_method(object, name);
}

// The item, or nothing where Python raises a TypeError or LookupError.
Result<std::optional<Value>> find_item(Runtime& runtime, const Value& object, const Value& index) {
  if (const Entries* entries = object.dict()) {
    if (index.is<List>() || index.is<Dict>()) return std::optional<Value>();
    const Value* value = TRY(find_key(runtime, *entries, index));
    return value == nullptr ? std::optional<Value>() : std::optional(*value);
  }
  int64_t at = 0;
  const Text* text = object.text();
  const Items* items = object.sequence();
  const auto* range = object.get_if<RangePtr>();
  if ((text == nullptr && items == nullptr && range == nullptr) || !index.as_int(at)) {
    return std::optional<Value>();
  }
  const int64_t length = TRY(length_of(runtime, object));
  if (at < -length || at >= length) return std::optional<Value>();
  if (at < 0) at += length;
  if (items != nullptr) return std::optional(items->values[static_cast<size_t>(at)]);
  if (range != nullptr) return std::optional(Value((*range)->at(at)));
  if (!text->is_ascii()) TRY(runtime.charge_bytes(text->bytes.size()));
  return std::optional(TRY(runtime.text(std::string(cut(*text, at, at + 1)), text->safe)));
}

}  // namespace

Result<Value> get_attribute(Runtime& runtime, const Value& object, const std::string& name) {
  if (object.is_undefined()) return misuse("", object);
  std::optional<Value> found = TRY(find_attribute(object, name));
  if (found) return *std::move(found);
  if (const Entries* entries = object.dict()) {
    TRY(runtime.charge(static_cast<int64_t>(entries->pairs.size() / 8)));
    for (const auto& [key, value] : entries->pairs) {
      const Text* text = key.text();
      if (text != nullptr && text->bytes == name) return value;
    }
  }
  return missing_attribute(object, name);
}

Result<Value> get_item(Runtime& runtime, const Value& object, const Value& index) {
  if (object.is_undefined()) return misuse("", object);
  std::optional<Value> found = TRY(find_item(runtime, object, index));
  const Text* name = index.text();
  if (!found && name != nullptr) found = TRY(find_attribute(object, name->bytes));
  if (found) return *std::move(found);
  if (name != nullptr) return missing_attribute(object, name->bytes);
  std::string shown;
  if (!append_repr(runtime, index, shown).ok()) shown = index.type_name();
  return undefined(fmt::format("a {} has no item {}", object.type_name(), shown));
}

Status set_attribute(Runtime& runtime, Namespace& space, const std::string& name, Value value) {
  TRY(runtime.charge(1 + static_cast<int64_t>(space.attributes.size() / 8)));
  if (name.starts_with('_')) {
    return failure("a namespace's attribute may not start with an underscore: '{}'", name);
  }
  space.set(name, std::move(value));
  return {};
}

Result<Path> parse_path(Runtime& runtime, const Value& attribute) {
  if (attribute.is_none()) return Path();
  const Text* text = attribute.text();
  if (text == nullptr) return Path{attribute};
  Path path;
  TRY(runtime.charge_bytes(text->bytes.size()));
  for (const std::string_view part : split_at(text->bytes, ".", -1, Side::left)) {
    const bool number =
        !part.empty() && part.find_first_not_of("0123456789") == std::string_view::npos;
    int64_t index = 0;
    if (!number) {
      path.push_back(TRY(runtime.text(std::string(part))));
    } else if (std::from_chars(part.data(), part.data() + part.size(), index).ec == std::errc()) {
      path.emplace_back(index);
    } else {
      return failure("the path '{}' has an index of more than 64 bits", text->bytes);
    }
  }
  return path;
}

Result<Value> follow(Runtime& runtime, const Value& value, const Path& path) {
  Value current = value;
  for (const Value& part : path) current = TRY(get_item(runtime, current, part));
  return current;
}

}  // namespace braid::text::tmpl

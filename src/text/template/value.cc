#include "text/template/value.h"

#include "text/template/callable.h"

namespace braid::text::tmpl {
namespace {

template <typename... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};
template <typename... Cases>
Overloaded(Cases...) -> Overloaded<Cases...>;

}  // namespace

int64_t Range::size() const {
  if (step > 0) return start < stop ? (stop - start - 1) / step + 1 : 0;
  return start > stop ? (start - stop - 1) / -step + 1 : 0;
}

const Value* Namespace::find(std::string_view name) const {
  for (const auto& [key, value] : attributes) {
    if (key == name) return &value;
  }
  return nullptr;
}

void Namespace::set(std::string_view name, Value value) {
  for (auto& [key, old] : attributes) {
    if (key == name) {
      old = std::move(value);
      return;
    }
  }
  attributes.emplace_back(std::string(name), std::move(value));
}

Result<const Value*> Loop::at(int64_t index) {
  const auto wanted = static_cast<size_t>(index);
  const bool filtered = passes != nullptr || tested > 0;
  const std::vector<Value>& all = source->values;
  if (!filtered) return wanted < all.size() ? &all[wanted] : nullptr;
  while (passed.size() <= wanted && tested < all.size() && passes != nullptr) {
    const Value& item = all[tested++];
    if (TRY(passes(item))) passed.push_back(item);
  }
  return wanted < passed.size() ? &passed[wanted] : nullptr;
}

Result<int64_t> Loop::length() {
  TRY(at(INT64_MAX));  // puts all items to the filter
  return static_cast<int64_t>(tested > 0 ? passed.size() : source->values.size());
}

const Text* Value::text() const {
  const auto* text = get_if<TextPtr>();
  return text == nullptr ? nullptr : text->get();
}

const Items* Value::sequence() const {
  if (const auto* list = get_if<List>()) return list->items.get();
  if (const auto* tuple = get_if<Tuple>()) return tuple->items.get();
  return nullptr;
}

const Entries* Value::dict() const {
  const auto* dict = get_if<Dict>();
  return dict == nullptr ? nullptr : dict->entries.get();
}

bool Value::as_int(int64_t& out) const {
  if (const auto* integer = get_if<int64_t>()) {
    out = *integer;
  } else if (const auto* boolean = get_if<bool>()) {
    out = *boolean ? 1 : 0;
  } else {
    return false;
  }
  return true;
}

bool Value::as_double(double& out) const {
  if (const auto* real = get_if<double>()) {
    out = *real;
    return true;
  }
  int64_t integer = 0;
  if (!as_int(integer)) return false;
  out = static_cast<double>(integer);
  return true;
}

bool Value::truthy() const {
  return std::visit(Overloaded{
                        [](const Undefined&) { return false; },
                        [](const None&) { return false; },
                        [](bool value) { return value; },
                        [](int64_t value) { return value != 0; },
                        [](double value) { return value != 0; },
                        [](const TextPtr& text) { return !text->bytes.empty(); },
                        [](const List& list) { return !list.items->values.empty(); },
                        [](const Tuple& tuple) { return !tuple.items->values.empty(); },
                        [](const Dict& dict) { return !dict.entries->pairs.empty(); },
                        [](const RangePtr& range) { return range->size() > 0; },
                        [](const ViewPtr& view) { return !view->dict.entries->pairs.empty(); },
                        [](const auto&) { return true; },
                    },
                    data_);
}

std::string_view Value::type_name() const {
  static constexpr std::string_view kViews[] = {"dict_keys", "dict_values", "dict_items"};
  return std::visit(Overloaded{
                        [](const Undefined&) { return std::string_view("Undefined"); },
                        [](const None&) { return std::string_view("None"); },
                        [](bool) { return std::string_view("bool"); },
                        [](int64_t) { return std::string_view("int"); },
                        [](double) { return std::string_view("float"); },
                        [](const TextPtr&) { return std::string_view("str"); },
                        [](const List&) { return std::string_view("list"); },
                        [](const Tuple&) { return std::string_view("tuple"); },
                        [](const Dict&) { return std::string_view("dict"); },
                        [](const RangePtr&) { return std::string_view("range"); },
                        [](const ViewPtr& view) { return kViews[static_cast<int>(view->part)]; },
                        [](const IteratorPtr&) { return std::string_view("generator"); },
                        [](Namespace*) { return std::string_view("namespace"); },
                        [](const CallablePtr& callable) { return callable->kind_name(); },
                        [](const LoopPtr&) { return std::string_view("loop"); },
                    },
                    data_);
}

int Value::depth() const {
  return std::visit(Overloaded{
                        [](const List& list) { return list.items->depth; },
                        [](const Tuple& tuple) { return tuple.items->depth; },
                        [](const Dict& dict) { return dict.entries->depth; },
                        [](const ViewPtr& view) { return 1 + view->dict.entries->depth; },
                        [](const IteratorPtr& it) { return 1 + it->items->depth; },
                        [](const CallablePtr& callable) { return 1 + callable->self.depth(); },
                        [](const LoopPtr& loop) { return 1 + loop->source->depth; },
                        [](const auto&) { return 0; },
                    },
                    data_);
}

}  // namespace braid::text::tmpl

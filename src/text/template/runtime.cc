#include "text/template/runtime.h"

#include "text/utf8.h"

#include <algorithm>

namespace braid::text::tmpl {
namespace {

Status check_nesting(int depth) {
  if (depth <= kMaxNesting) return {};
  return Error(ErrorKind::exhausted, "a list or dict is nested too deeply")
      .with("limit", kMaxNesting);
}

}  // namespace

Status Runtime::charge(int64_t steps) {
  steps_ += steps;
  if (steps_ <= limits_.steps) return {};
  return Error(ErrorKind::exhausted, "the template does more work than a rendering may")
      .with("limit in steps", limits_.steps);
}

Result<Value> Runtime::text(std::string bytes, bool safe) {
  TRY(charge_bytes(bytes.size()));
  const int64_t length = count_chars(bytes);
  return Value(std::make_shared<const Text>(Text{std::move(bytes), length, safe}));
}

Result<ItemsPtr> Runtime::items(std::vector<Value> values) {
  TRY(charge(1 + static_cast<int64_t>(values.size())));
  int depth = 0;
  for (const Value& value : values) depth = std::max(depth, value.depth());
  TRY(check_nesting(depth + 1));
  return std::make_shared<const Items>(Items{std::move(values), depth + 1});
}

Result<Value> Runtime::list(std::vector<Value> values) {
  return Value(List{TRY(items(std::move(values)))});
}

Result<Value> Runtime::tuple(std::vector<Value> values) {
  return Value(Tuple{TRY(items(std::move(values)))});
}

Result<Value> Runtime::iterator(std::vector<Value> values, Status failure) {
  if (!failure.ok() && failure.error().kind() == ErrorKind::exhausted) return failure;
  const ItemsPtr kept = TRY(items(std::move(values)));
  return Value(std::make_shared<Iterator>(Iterator{kept, std::move(failure)}));
}

Result<Value> Runtime::dict(std::vector<std::pair<Value, Value>> pairs) {
  TRY(charge(1 + 2 * static_cast<int64_t>(pairs.size())));
  int depth = 0;
  for (const auto& [key, value] : pairs) depth = std::max({depth, key.depth(), value.depth()});
  TRY(check_nesting(depth + 1));
  return Value(Dict{std::make_shared<const Entries>(Entries{std::move(pairs), depth + 1})});
}

Namespace* Runtime::new_namespace() {
  namespaces_.push_back(std::make_unique<Namespace>());
  return namespaces_.back().get();
}

Value undefined(std::string message) {
  return Undefined{std::make_shared<const std::string>(std::move(message))};
}

Error misuse(std::string_view what, const Value& value) {
  if (const auto* missing = value.get_if<Undefined>()) return failure("{}", *missing->message);
  return failure("{} does not take a value of type '{}'", what, value.type_name());
}

}  // namespace braid::text::tmpl

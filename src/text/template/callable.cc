#include "text/template/callable.h"

#include <algorithm>

#include "text/template/runtime.h"

namespace braid::text::tmpl {

Function find_function(std::span<const NamedFunction> table, std::string_view name) {
  for (const NamedFunction& entry : table) {
    if (entry.name == name) return entry.function;
  }
  return nullptr;
}

const Value& Bound::or_none(size_t i) const {
  static const Value none;
  return has(i) ? *values_[i] : none;
}

bool Bound::flag(size_t i, bool fallback) const { return has(i) ? values_[i]->truthy() : fallback; }

Result<Bound> bind(std::string_view function, const Arguments& arguments,
                   std::initializer_list<std::string_view> parameters, size_t required) {
  if (arguments.positional.size() > parameters.size()) {
    return failure("{} takes at most {} arguments, {} were given", function, parameters.size(),
                   arguments.positional.size());
  }
  std::vector<const Value*> values(parameters.size(), nullptr);
  for (size_t i = 0; i < arguments.positional.size(); ++i) values[i] = &arguments.positional[i];
  for (const auto& [name, value] : arguments.named) {
    const auto* found = std::find(parameters.begin(), parameters.end(), name);
    if (found == parameters.end()) {
      return failure("{} has no parameter '{}'", function, name);
    }
    const Value*& slot = values[static_cast<size_t>(found - parameters.begin())];
    if (slot != nullptr) return failure("{} is given '{}' twice", function, name);
    slot = &value;
  }
  for (size_t i = 0; i < required; ++i) {
    if (values[i] == nullptr) {
      return failure("{} needs its argument '{}'", function, parameters.begin()[i]);
    }
  }
  return Bound(std::move(values));
}

}  // namespace braid::text::tmpl

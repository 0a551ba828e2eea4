// Things that a template can call, and the arguments that it calls them with.
#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "text/template/value.h"

namespace braid::text::tmpl {

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;

  bool empty() const { return positional.empty() && named.empty(); }
};

// A filter, test, method or global function. `self` is the filtered or tested value, or the
// method's object.
using Function = Result<Value> (*)(Runtime& runtime, const Value& self, const Arguments& arguments);

// A name and what it means: an entry of the tables of methods, filters, tests and globals.
struct NamedFunction {
  std::string_view name;
  Function function;
};

// The function under `name`, or null.
Function find_function(std::span<const NamedFunction> table, std::string_view name);

// A function or bound method (function set), or a macro with the scope that it was defined in.
struct Callable {
  std::string name;
  Function function = nullptr;
  Value self;
  const MacroNode* macro = nullptr;
  Scope* scope = nullptr;

  std::string_view kind_name() const { return macro != nullptr ? "macro" : "function"; }
};

// Arguments matched with a function's parameters.
class Bound {
 public:
  explicit Bound(std::vector<const Value*> values) : values_(std::move(values)) {}

  bool has(size_t i) const { return values_[i] != nullptr; }
  // The argument, which must be there.
  const Value& operator[](size_t i) const { return *values_[i]; }
  // The argument, or None when it was not given.
  const Value& or_none(size_t i) const;
  // The truth of the argument, or `fallback` when it was not given.
  bool flag(size_t i, bool fallback = false) const;

 private:
  std::vector<const Value*> values_;  // point into the Arguments
};

// Matches `arguments` with `parameters`, of which the first `required` must be given. The result
// points into `arguments`. Errors name `function`.
Result<Bound> bind(std::string_view function, const Arguments& arguments,
                   std::initializer_list<std::string_view> parameters, size_t required = 0);

}  // namespace braid::text::tmpl

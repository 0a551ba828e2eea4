// The Interpreter's expressions and calls.
#include <algorithm>

#include "text/template/access.h"
#include "text/template/arithmetic.h"
#include "text/template/filters.h"
#include "text/template/functions.h"
#include "text/template/interpreter.h"
#include "text/template/interpreter_scopes.h"
#include "text/template/print.h"
#include "text/template/sequence.h"

namespace braid::text::tmpl {
namespace {

constexpr int64_t kMacroSteps = 20;  // a macro keeps its scopes to the end of the rendering

}  // namespace

Result<Value> Interpreter::evaluate(const Expr& expr) {
  const Depth depth(*this);
  TRY(depth.check());
  TRY(runtime_.charge(1));
  const int outer = std::exchange(line_, expr.line);
  Result<Value> value = std::visit([this](const auto& node) { return value_of(node); }, expr.node);
  if (value.ok()) line_ = outer;  // an error's line stays
  return value;
}

Result<bool> Interpreter::is_true(const Expr& expr) {
  const Value value = TRY(evaluate(expr));
  return value.truthy();
}

Result<Value> Interpreter::value_of(const NameExpr& name) {
  for (const Scope* scope = scope_; scope != nullptr; scope = scope->parent) {
    if (const Value* value = scope->find(name.name)) return *value;
  }
  for (const auto& [key, value] : variables_.dict()->pairs) {
    if (key.text()->bytes == name.name) return value;
  }
  return find_global(name.name);
}

Result<Value> Interpreter::value_of(const ListExpr& list) {
  std::vector<Value> values;
  values.reserve(list.items.size());
  for (const ExprPtr& item : list.items) values.push_back(TRY(evaluate(*item)));
  return list.tuple ? runtime_.tuple(std::move(values)) : runtime_.list(std::move(values));
}

Result<Value> Interpreter::value_of(const DictExpr& dict) {
  DictBuilder builder(runtime_);
  for (const auto& [key_expr, value_expr] : dict.pairs) {
    const Value key = TRY(evaluate(*key_expr));
    const Value value = TRY(evaluate(*value_expr));
    TRY(builder.set(key, value));
  }
  return builder.finish();
}

Result<Value> Interpreter::value_of(const SignExpr& sign) {
  const Value value = TRY(evaluate(*sign.operand));
  return signed_value(value, sign.negative);
}

Result<Value> Interpreter::value_of(const NotExpr& expr) {
  const bool value = TRY(is_true(*expr.operand));
  return Value(!value);
}

Result<Value> Interpreter::value_of(const BinaryExpr& binary) {
  const Value left = TRY(evaluate(*binary.left));
  const Value right = TRY(evaluate(*binary.right));
  return arithmetic(runtime_, binary.op, left, right);
}

Result<Value> Interpreter::value_of(const LogicalExpr& logical) {
  Value left = TRY(evaluate(*logical.left));
  if (left.truthy() == logical.is_or) return left;
  return evaluate(*logical.right);
}

Result<Value> Interpreter::value_of(const ConcatExpr& concat) {
  std::string text;
  for (const ExprPtr& part : concat.parts) {
    const Value value = TRY(evaluate(*part));
    TRY(append_str(runtime_, value, text));
  }
  return runtime_.text(std::move(text));
}

Result<Value> Interpreter::value_of(const CompareExpr& compare) {
  Value left = TRY(evaluate(*compare.first));
  for (const auto& [op, expr] : compare.rest) {
    Value right = TRY(evaluate(*expr));
    if (!TRY(tmpl::compare(runtime_, op, left, right))) return Value(false);
    left = std::move(right);
  }
  return Value(true);
}

Result<Value> Interpreter::value_of(const ConditionalExpr& conditional) {
  if (TRY(is_true(*conditional.test))) return evaluate(*conditional.yes);
  if (conditional.no != nullptr) return evaluate(*conditional.no);
  return undefined("an 'if' without 'else' in an expression was false");
}

Result<Value> Interpreter::value_of(const AttributeExpr& attribute) {
  const Value object = TRY(evaluate(*attribute.object));
  return get_attribute(runtime_, object, attribute.name);
}

Result<Value> Interpreter::value_of(const ItemExpr& item) {
  const Value object = TRY(evaluate(*item.object));
  const Value index = TRY(evaluate(*item.index));
  return get_item(runtime_, object, index);
}

Result<Value> Interpreter::value_of(const SliceExpr& slice) {
  const Value object = TRY(evaluate(*slice.object));
  Value bounds[3];
  const ExprPtr* const exprs[3] = {&slice.start, &slice.stop, &slice.step};
  for (int i = 0; i < 3; ++i) {
    if (*exprs[i] != nullptr) bounds[i] = TRY(evaluate(**exprs[i]));
  }
  if (slice.step == nullptr) bounds[2] = Value(int64_t{1});
  return tmpl::slice(runtime_, object, bounds[0], bounds[1], bounds[2]);
}

Result<Value> Interpreter::value_of(const ApplyExpr& apply) {
  Value input = apply.input == nullptr ? std::move(block_text_) : TRY(evaluate(*apply.input));
  const Arguments arguments = TRY(evaluate_arguments(apply.arguments));
  if (apply.function == nullptr) {
    return apply.is_test ? no_such_test(apply.name) : no_such_filter(apply.name);
  }
  return apply.function(runtime_, input, arguments);
}

Result<Value> Interpreter::value_of(const CallExpr& call) {
  const Value callee = TRY(evaluate(*call.callee));
  return this->call(callee, TRY(evaluate_arguments(call.arguments)));
}

Result<Arguments> Interpreter::evaluate_arguments(const std::vector<ArgumentNode>& nodes) {
  using Kind = ArgumentNode::Kind;
  Arguments arguments;
  for (const ArgumentNode& node : nodes) {
    const Value value = TRY(evaluate(*node.value));
    if (node.kind == Kind::positional) {
      arguments.positional.push_back(value);
    } else if (node.kind == Kind::named) {
      arguments.named.emplace_back(node.name, value);
    } else if (node.kind == Kind::spread_list) {
      const ItemsPtr items = TRY(iterate(runtime_, value));
      TRY(runtime_.charge(static_cast<int64_t>(items->values.size())));
      arguments.positional.insert(arguments.positional.end(), items->values.begin(),
                                  items->values.end());
    } else {
      const Entries* entries = value.dict();
      if (entries == nullptr) return misuse("'**' in a call", value);
      TRY(runtime_.charge(static_cast<int64_t>(entries->pairs.size())));
      for (const auto& [key, item] : entries->pairs) {
        const Text* name = key.text();
        if (name == nullptr) return misuse("a name in '**' of a call", key);
        arguments.named.emplace_back(name->bytes, item);
      }
    }
  }
  return arguments;
}

Result<Value> Interpreter::call(const Value& callee, Arguments arguments) {
  const auto* callable = callee.get_if<CallablePtr>();
  if (callable == nullptr) {
    if (callee.is<LoopPtr>()) return not_supported("the recursive call of 'loop'");
    if (callee.is_undefined()) return misuse("", callee);
    return failure("a value of type '{}' can't be called", callee.type_name());
  }
  if ((*callable)->macro != nullptr) return call_macro(**callable, std::move(arguments));
  return (*callable)->function(runtime_, (*callable)->self, arguments);
}

Result<Value> Interpreter::close_over(const MacroNode& macro) {
  TRY(runtime_.charge(kMacroSteps));
  for (Scope* scope = scope_; scope != nullptr; scope = scope->parent) scope->captured = true;
  return Value(std::make_shared<const Callable>(
      Callable{.name = macro.name, .macro = &macro, .scope = scope_}));
}

Result<Value> Interpreter::call_macro(const Callable& macro, Arguments arguments) {
  const InnerScope scope(*this, macro.scope);
  TRY(bind_macro(*macro.macro, std::move(arguments)));
  Flow flow = Flow::normal;
  return capture(macro.macro->body, flow);
}

// Sets the macro's parameters, and caller, kwargs and varargs where it mentions them, in the
// current scope.
Status Interpreter::bind_macro(const MacroNode& macro, Arguments arguments) {
  const size_t count = macro.parameters.size();
  const size_t given = std::min(count, arguments.positional.size());
  const auto take_named = [&](std::string_view name, Value fallback) {
    auto& named = arguments.named;
    const auto found =
        std::find_if(named.begin(), named.end(), [&](auto& item) { return item.first == name; });
    if (found == named.end()) return std::pair(std::move(fallback), false);
    Value value = std::move(found->second);
    named.erase(found);
    return std::pair(std::move(value), true);
  };
  std::vector<size_t> missing;
  for (size_t i = 0; i < count; ++i) {
    const std::string& name = macro.parameters[i].name;
    if (i < given) {
      scope_->set(name, arguments.positional[i]);
      continue;
    }
    auto [value, found] =
        take_named(name, undefined(fmt::format("the parameter '{}' was not given", name)));
    scope_->set(name, std::move(value));
    if (!found) missing.push_back(i);
  }
  for (const size_t i : missing) {
    const MacroNode::Parameter& parameter = macro.parameters[i];
    if (parameter.fallback == nullptr) continue;
    scope_->set(parameter.name, TRY(evaluate(*parameter.fallback)));
  }
  if (macro.uses_caller) {
    scope_->set("caller", take_named("caller", undefined("no caller is given")).first);
  }
  if (macro.uses_kwargs) {
    DictBuilder kwargs(runtime_);
    for (const auto& [name, value] : arguments.named) {
      const Value key = TRY(runtime_.text(name));
      TRY(kwargs.set(key, value));
    }
    scope_->set("kwargs", TRY(kwargs.finish()));
  } else if (!arguments.named.empty()) {
    return failure("the macro '{}' has no parameter '{}', or is given it twice", macro.name,
                   arguments.named[0].first);
  }
  const auto extra = arguments.positional.begin() + static_cast<int64_t>(given);
  if (macro.uses_varargs) {
    scope_->set("varargs", TRY(runtime_.tuple({extra, arguments.positional.end()})));
  } else if (extra != arguments.positional.end()) {
    return failure("the macro '{}' takes at most {} arguments, {} are given", macro.name, count,
                   arguments.positional.size());
  }
  return {};
}

}  // namespace braid::text::tmpl

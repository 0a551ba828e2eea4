// Statements. Expressions are in evaluate.cc.
#include "text/template/interpreter.h"

#include "text/template/access.h"
#include "text/template/interpreter_scopes.h"
#include "text/template/print.h"
#include "text/template/sequence.h"

namespace braid::text::tmpl {

const Value* Scope::find(std::string_view name) const {
  for (const auto& [key, value] : variables) {
    if (key == name) return &value;
  }
  return nullptr;
}

void Scope::set(std::string_view name, Value value) {
  for (auto& [key, old] : variables) {
    if (key == name) {
      old = std::move(value);
      return;
    }
  }
  variables.emplace_back(name, std::move(value));
}

Interpreter::Interpreter(Runtime& runtime, const Value& variables)
    : runtime_(runtime), variables_(variables) {}

Result<std::string> Interpreter::run(const Block& block) {
  TRY(execute(block));
  return std::move(out_);
}

Result<Interpreter::Flow> Interpreter::execute(const Block& block) {
  const Depth depth(*this);
  TRY(depth.check());
  for (const Stmt& statement : block) {
    const Flow flow = TRY(execute(statement));
    if (flow != Flow::normal) return flow;
  }
  return Flow::normal;
}

Result<Interpreter::Flow> Interpreter::execute(const Stmt& statement) {
  TRY(runtime_.charge(1));
  line_ = statement.line;
  return std::visit([this](const auto& node) { return run_node(node); }, statement.node);
}

Status Interpreter::write(std::string_view text) {
  TRY(runtime_.charge_bytes(text.size()));
  out_ += text;
  if (static_cast<int64_t>(out_.size()) <= runtime_.limits().output_bytes) return {};
  return Error(ErrorKind::exhausted, "the rendered text is too long")
      .with("limit in bytes", runtime_.limits().output_bytes);
}

Status Interpreter::write(const Value& value) {
  if (const Text* text = value.text()) return write(text->bytes);
  std::string text;
  TRY(append_str(runtime_, value, text));
  return write(text);
}

Result<Value> Interpreter::capture(const Block& block, Flow& flow) {
  std::string outer = std::exchange(out_, std::string());
  const Result<Flow> result = execute(block);
  std::string text = std::exchange(out_, std::move(outer));
  flow = TRY(result);
  return runtime_.text(std::move(text));
}

Result<Interpreter::Flow> Interpreter::run_node(const DataStmt& data) {
  TRY(write(data.text));
  return Flow::normal;
}

Result<Interpreter::Flow> Interpreter::run_node(const PrintStmt& print) {
  const Value value = TRY(evaluate(*print.value));
  TRY(write(value));
  return Flow::normal;
}

Result<Interpreter::Flow> Interpreter::run_node(const IfStmt& statement) {
  for (const auto& [test, body] : statement.branches) {
    if (TRY(is_true(*test))) return execute(body);
  }
  return execute(statement.otherwise);
}

Result<bool> Interpreter::passes_filter(const ForStmt& statement, Scope* outer, const Value& item) {
  Scope* const current = std::exchange(scope_, outer);
  const auto test = [&]() -> Result<bool> {
    const InnerScope scope(*this);
    TRY(assign(statement.target, item));
    return is_true(*statement.filter);
  };
  Result<bool> result = test();
  scope_ = current;
  return result;
}

Result<Interpreter::Flow> Interpreter::run_node(const ForStmt& statement) {
  const Value source = TRY(evaluate(*statement.items));
  const auto* iterator = source.get_if<IteratorPtr>();
  const size_t first = iterator == nullptr ? 0 : (*iterator)->next;
  auto loop = std::make_shared<Loop>();
  loop->source = TRY(iterate(runtime_, source));
  if (statement.filter != nullptr) {
    loop->passes = [this, &statement, outer = scope_](const Value& item) {
      return passes_filter(statement, outer, item);
    };
  }
  bool completed = false;
  const Result<Flow> flow = run_loop(statement, loop, completed);
  // A loop object may outlive its loop, but neither its filter nor cycles through its own values.
  loop->passes = nullptr;
  loop->last_changed = nullptr;
  TRY(flow);
  if (iterator != nullptr && *flow == Flow::break_loop) {
    const auto used = static_cast<size_t>(loop->index0) + 1;
    (*iterator)->next = first + (statement.filter != nullptr ? loop->tested : used);
  }
  // As in jinja2 a pass that a break or continue ended does not count.
  if (completed || !statement.otherwise) return Flow::normal;
  const InnerScope scope(*this);
  return execute(*statement.otherwise);
}

// Runs the body for each item; `completed` tells whether it ever reached its end.
Result<Interpreter::Flow> Interpreter::run_loop(const ForStmt& statement, const LoopPtr& loop,
                                                bool& completed) {
  for (; true; ++loop->index0) {
    const Value* found = TRY(loop->at(loop->index0));
    if (found == nullptr) return Flow::normal;
    const Value item = *found;
    TRY(runtime_.charge(1));
    const InnerScope scope(*this);
    TRY(assign(statement.target, item));
    scope_->set("loop", loop);
    const Flow flow = TRY(execute(statement.body));
    if (flow == Flow::break_loop) return flow;
    completed = completed || flow == Flow::normal;
  }
}

Result<Interpreter::Flow> Interpreter::run_node(const SetStmt& statement) {
  const Value value = TRY(evaluate(*statement.value));
  TRY(assign(statement.target, value));
  return Flow::normal;
}

Result<Interpreter::Flow> Interpreter::run_node(const SetBlockStmt& statement) {
  Value value;
  {
    const InnerScope scope(*this);
    Flow flow = Flow::normal;
    value = TRY(capture(statement.body, flow));
    if (flow != Flow::normal) return flow;
    if (statement.filter != nullptr) {
      block_text_ = value;
      value = TRY(evaluate(*statement.filter));
    }
  }
  TRY(assign(statement.target, value));
  return Flow::normal;
}

Result<Interpreter::Flow> Interpreter::run_node(const MacroStmt& statement) {
  scope_->set(statement.macro->name, TRY(close_over(*statement.macro)));
  return Flow::normal;
}

Result<Interpreter::Flow> Interpreter::run_node(const CallStmt& statement) {
  const auto& call_node = std::get<CallExpr>(statement.call->node);
  const Value callee = TRY(evaluate(*call_node.callee));
  Arguments arguments = TRY(evaluate_arguments(call_node.arguments));
  arguments.named.emplace_back("caller", TRY(close_over(*statement.caller)));
  const Value value = TRY(call(callee, std::move(arguments)));
  TRY(write(value));
  return Flow::normal;
}

Result<Interpreter::Flow> Interpreter::run_node(const FilterStmt& statement) {
  const InnerScope scope(*this);
  Flow flow = Flow::normal;
  block_text_ = TRY(capture(statement.body, flow));
  if (flow != Flow::normal) return flow;
  const Value value = TRY(evaluate(*statement.filter));
  TRY(write(value));
  return Flow::normal;
}

Result<Interpreter::Flow> Interpreter::run_node(const WithStmt& statement) {
  std::vector<Value> values;  // all of them seen from outside
  for (const auto& item : statement.values) values.push_back(TRY(evaluate(*item.second)));
  const InnerScope scope(*this);
  for (size_t i = 0; i < values.size(); ++i) TRY(assign(statement.values[i].first, values[i]));
  return execute(statement.body);
}

Result<Interpreter::Flow> Interpreter::run_node(const GenerationStmt& statement) {
  const InnerScope scope(*this);
  return execute(statement.body);
}

Status Interpreter::assign(const Target& target, const Value& value) {
  if (target.tuple) return unpack(target, value);
  if (target.attribute.empty()) {
    scope_->set(target.name, value);
    return {};
  }
  const Value object = TRY(value_of(NameExpr{target.name}));
  const auto* space = object.get_if<Namespace*>();
  if (space == nullptr) {
    return failure("'{}' is no namespace, so its attribute '{}' can't be set", target.name,
                   target.attribute);
  }
  return set_attribute(runtime_, **space, target.attribute, value);
}

Status Interpreter::unpack(const Target& target, const Value& value) {
  const ItemsPtr items = TRY(iterate(runtime_, value));
  if (items->values.size() != target.parts.size()) {
    return failure("{} values can't be unpacked into {} variables", items->values.size(),
                   target.parts.size());
  }
  for (size_t i = 0; i < target.parts.size(); ++i) TRY(assign(target.parts[i], items->values[i]));
  return {};
}

}  // namespace braid::text::tmpl

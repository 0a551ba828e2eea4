// Runs a syntax tree. Internal to the template engine: see template.h.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "text/template/ast.h"
#include "text/template/callable.h"
#include "text/template/runtime.h"

namespace braid::text::tmpl {

// The variables of a block. Macros keep the scopes they were defined in, and see later changes.
struct Scope {
  Scope* parent = nullptr;
  bool captured = false;                                      // by a macro: outlives its block
  std::vector<std::pair<std::string_view, Value>> variables;  // names belong to the tree

  const Value* find(std::string_view name) const;
  void set(std::string_view name, Value value);
};

// Runs one template once.
class Interpreter {
 public:
  // `variables` is a dict; it and the block outlive the interpreter.
  Interpreter(Runtime& runtime, const Value& variables);

  // The rendered text. After an error line() is where it happened.
  Result<std::string> run(const Block& block);
  int line() const { return line_; }

 private:
  enum class Flow { normal, break_loop, continue_loop };
  class InnerScope;
  class Depth;

  Result<Flow> execute(const Block& block);
  Result<Flow> execute(const Stmt& statement);
  Result<Flow> run_node(const DataStmt& data);
  Result<Flow> run_node(const PrintStmt& print);
  Result<Flow> run_node(const IfStmt& statement);
  Result<Flow> run_node(const ForStmt& statement);
  Result<Flow> run_node(const SetStmt& statement);
  Result<Flow> run_node(const SetBlockStmt& statement);
  Result<Flow> run_node(const MacroStmt& statement);
  Result<Flow> run_node(const CallStmt& statement);
  Result<Flow> run_node(const FilterStmt& statement);
  Result<Flow> run_node(const WithStmt& statement);
  Result<Flow> run_node(const GenerationStmt& statement);
  Result<Flow> run_node(const BreakStmt&) { return Flow::break_loop; }
  Result<Flow> run_node(const ContinueStmt&) { return Flow::continue_loop; }
  Result<Flow> run_loop(const ForStmt& statement, const LoopPtr& loop, bool& completed);
  Result<bool> passes_filter(const ForStmt& statement, Scope* outer, const Value& item);

  // The text that `block` writes; what it assigns stays in the current scope. `flow` tells whether
  // the block was left by a break or continue.
  Result<Value> capture(const Block& block, Flow& flow);
  Status write(std::string_view text);
  Status write(const Value& value);
  Status assign(const Target& target, const Value& value);
  Status unpack(const Target& target, const Value& value);

  Result<Value> evaluate(const Expr& expr);
  Result<Value> value_of(const LiteralExpr& literal) { return literal.value; }
  Result<Value> value_of(const NameExpr& name);
  Result<Value> value_of(const ListExpr& list);
  Result<Value> value_of(const DictExpr& dict);
  Result<Value> value_of(const SignExpr& sign);
  Result<Value> value_of(const NotExpr& expr);
  Result<Value> value_of(const BinaryExpr& binary);
  Result<Value> value_of(const LogicalExpr& logical);
  Result<Value> value_of(const ConcatExpr& concat);
  Result<Value> value_of(const CompareExpr& compare);
  Result<Value> value_of(const ConditionalExpr& conditional);
  Result<Value> value_of(const AttributeExpr& attribute);
  Result<Value> value_of(const ItemExpr& item);
  Result<Value> value_of(const SliceExpr& slice);
  Result<Value> value_of(const CallExpr& call);
  Result<Value> value_of(const ApplyExpr& apply);
  Result<bool> is_true(const Expr& expr);

  Result<Arguments> evaluate_arguments(const std::vector<ArgumentNode>& nodes);
  Result<Value> call(const Value& callee, Arguments arguments);
  Result<Value> call_macro(const Callable& macro, Arguments arguments);
  Status bind_macro(const MacroNode& macro, Arguments arguments);
  Result<Value> close_over(const MacroNode& macro);

  Runtime& runtime_;
  const Value& variables_;
  std::vector<std::unique_ptr<Scope>> captured_;
  Scope root_;
  Scope* scope_ = &root_;
  std::string out_;
  Value block_text_;  // input of the next filter without one
  int depth_ = 0;
  int line_ = 0;
};

}  // namespace braid::text::tmpl

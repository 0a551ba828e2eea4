// The syntax tree of a template. Every node knows its line; an expression also its height, which
// the parser bounds, so that walking and freeing a tree never overflows the stack.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "text/template/arithmetic.h"
#include "text/template/callable.h"
#include "text/template/compare.h"
#include "text/template/value.h"

namespace braid::text::tmpl {

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

struct LiteralExpr {
  Value value;
};
struct NameExpr {
  std::string name;
};
struct ListExpr {
  std::vector<ExprPtr> items;
  bool tuple = false;
};
struct DictExpr {
  std::vector<std::pair<ExprPtr, ExprPtr>> pairs;
};
struct SignExpr {
  bool negative;
  ExprPtr operand;
};
struct NotExpr {
  ExprPtr operand;
};
struct BinaryExpr {
  Operator op;
  ExprPtr left, right;
};
struct LogicalExpr {
  bool is_or;  // else and
  ExprPtr left, right;
};
struct ConcatExpr {
  std::vector<ExprPtr> parts;
};
struct CompareExpr {
  ExprPtr first;
  std::vector<std::pair<Comparison, ExprPtr>> rest;
};
struct ConditionalExpr {
  ExprPtr test, yes;
  ExprPtr no;  // may be null
};
struct AttributeExpr {
  ExprPtr object;
  std::string name;
};
struct ItemExpr {
  ExprPtr object, index;
};
struct SliceExpr {
  ExprPtr object;
  ExprPtr start, stop, step;  // each may be null
};

struct ArgumentNode {
  enum class Kind { positional, named, spread_list, spread_dict };
  Kind kind;
  std::string name;  // of a named one
  ExprPtr value;
};
struct CallExpr {
  ExprPtr callee;
  std::vector<ArgumentNode> arguments;
};
// input | filter(arguments), or input is test(arguments).
struct ApplyExpr {
  ExprPtr input;  // null for the innermost filter of a block: its input is the block's text
  std::string name;
  bool is_test;
  Function function;  // null where there is none: an error when it runs
  std::vector<ArgumentNode> arguments;
};

struct Expr {
  using Node = std::variant<LiteralExpr, NameExpr, ListExpr, DictExpr, SignExpr, NotExpr,
                            BinaryExpr, LogicalExpr, ConcatExpr, CompareExpr, ConditionalExpr,
                            AttributeExpr, ItemExpr, SliceExpr, CallExpr, ApplyExpr>;
  Node node;
  int line = 0;
  int height = 1;
};

// What a value is assigned to: a name, an attribute of a namespace, or a tuple of targets.
struct Target {
  std::string name;       // of the variable or namespace; empty for a tuple
  std::string attribute;  // of the namespace; empty for a variable
  std::vector<Target> parts;
  bool tuple = false;
};

struct Stmt;
using Block = std::vector<Stmt>;

struct DataStmt {
  std::string text;
};
struct PrintStmt {
  ExprPtr value;
};
struct IfStmt {
  std::vector<std::pair<ExprPtr, Block>> branches;
  Block otherwise;
};
struct ForStmt {
  Target target;
  ExprPtr items;
  ExprPtr filter;  // may be null
  Block body;
  std::optional<Block> otherwise;
};
struct SetStmt {
  Target target;
  ExprPtr value;
};
struct SetBlockStmt {
  Target target;
  ExprPtr filter;  // may be null
  Block body;
};

struct MacroNode {
  struct Parameter {
    std::string name;
    ExprPtr fallback;  // may be null
  };
  std::string name;
  std::vector<Parameter> parameters;
  Block body;
  // Whether the body mentions these names and they aren't parameters.
  bool uses_caller = false;
  bool uses_kwargs = false;
  bool uses_varargs = false;
};
struct MacroStmt {
  std::unique_ptr<MacroNode> macro;
};
// {% call(parameters) callee(arguments) %}body{% endcall %}
struct CallStmt {
  std::unique_ptr<MacroNode> caller;
  ExprPtr call;  // a CallExpr
};
struct FilterStmt {
  ExprPtr filter;
  Block body;
};
struct WithStmt {
  std::vector<std::pair<Target, ExprPtr>> values;
  Block body;
};
// {% generation %}: its text as it is, in a scope of its own.
struct GenerationStmt {
  Block body;
};
struct BreakStmt {};
struct ContinueStmt {};

struct Stmt {
  using Node =
      std::variant<DataStmt, PrintStmt, IfStmt, ForStmt, SetStmt, SetBlockStmt, MacroStmt, CallStmt,
                   FilterStmt, WithStmt, GenerationStmt, BreakStmt, ContinueStmt>;
  Node node;
  int line = 0;
};

}  // namespace braid::text::tmpl

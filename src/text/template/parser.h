// Reads tokens into a syntax tree. Internal to the template engine: see template.h.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "text/template/ast.h"
#include "text/template/lexer.h"

namespace braid::text::tmpl {

// Expressions higher than this, and blocks nested deeper, are refused.
constexpr int kMaxExprHeight = 200;
constexpr int kMaxBlockNesting = 100;

// Parses a whole template. Errors name the line: corrupt_data for what jinja2 would not take
// either, unsupported for what this engine lacks (a tag or form, by its name). Filters and tests
// that this engine lacks are errors when they run.
Result<Block> parse_template(std::string_view source);

class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  Result<Block> parse();

 private:
  using Names = std::initializer_list<std::string_view>;

  // Tokens.
  const Token& current() const { return tokens_[at_]; }
  const Token& next() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  Token take() { return tokens_[at_ + 1 < tokens_.size() ? at_++ : at_]; }
  bool is_op(std::string_view op) const;
  bool is_name(std::string_view name) const;
  bool take_op(std::string_view op);
  bool take_name(std::string_view name);
  Status expect_op(std::string_view op);
  Status expect_name(std::string_view name);
  Status expect(TokenType type, std::string_view what);
  Result<std::string> expect_any_name(std::string_view what);
  Error syntax(std::string message) const {
    return syntax_error(current().line, std::move(message));
  }
  Error unexpected(std::string_view wanted) const;
  Error lacks(const std::string& what) const;

  void note_unknown(const Error& error, int line);

  // Expressions, in parser_expressions.cc.
  Result<ExprPtr> make(int line, Expr::Node node) const;
  Status check_nesting() const;
  Result<ExprPtr> parse_expression(bool with_condition = true);
  Result<ExprPtr> parse_conditional();
  Result<ExprPtr> parse_or();
  Result<ExprPtr> parse_and();
  Result<ExprPtr> parse_not();
  Result<ExprPtr> parse_compare();
  Result<ExprPtr> parse_sum();
  Result<ExprPtr> parse_concat();
  Result<ExprPtr> parse_product();
  Result<ExprPtr> parse_power();
  Result<ExprPtr> parse_unary(bool with_filters = true);
  Result<ExprPtr> parse_primary();
  Result<ExprPtr> parse_name();
  Result<ExprPtr> parse_list();
  Result<ExprPtr> parse_dict();
  // One expression, or several with commas as a tuple; ends before a name of `ends`.
  Result<ExprPtr> parse_tuple(bool with_condition, Names ends = {}, bool in_parentheses = false);
  Result<ExprPtr> parse_postfix(ExprPtr expr);
  Result<ExprPtr> parse_filters_and_tests(ExprPtr expr);
  Result<ExprPtr> parse_attribute(ExprPtr object);
  Result<ExprPtr> parse_subscript(ExprPtr object);
  Result<ExprPtr> parse_slice(ExprPtr object, int line, ExprPtr start);
  Result<ExprPtr> parse_call(ExprPtr callee);
  Result<std::string> parse_dotted_name(std::string_view what);
  Result<ExprPtr> parse_filter(ExprPtr input);  // from the filter's name on
  Result<ExprPtr> parse_test(ExprPtr input);
  Result<std::vector<ArgumentNode>> parse_arguments();
  Result<ArgumentNode> parse_argument();

  // Statements, in parser_statements.cc.
  Result<Block> parse_block(Names ends);
  Result<Block> parse_body(Names ends);
  Result<Stmt> parse_statement();
  Result<Stmt::Node> parse_tag(const std::string& tag);
  Result<Stmt::Node> parse_if();
  Result<Stmt::Node> parse_for();
  Result<Stmt::Node> parse_set();
  Result<Stmt::Node> parse_macro();
  Result<Stmt::Node> parse_call_block();
  Result<Stmt::Node> parse_filter_block();
  Result<Stmt::Node> parse_with();
  Result<Stmt::Node> parse_generation();
  Result<Stmt::Node> parse_loop_control(const std::string& tag);
  Result<Stmt> parse_print();
  Status parse_parameters(MacroNode& macro);
  Result<Block> parse_macro_body(MacroNode& macro, std::string_view end);
  // `with_attributes`: ns.name may be a target.
  Result<Target> parse_target(bool with_attributes, Names ends = {});
  Result<Target> parse_single_target(bool with_attributes);
  Result<ExprPtr> parse_filter_chain();

  std::vector<Token> tokens_;
  size_t at_ = 0;
  int nesting_ = 0;                 // of expressions being parsed
  int block_nesting_ = 0;           // of blocks
  int loops_ = 0;                   // that break and continue may end here
  int fors_ = 0;                    // that the current statement stands in
  std::vector<MacroNode*> macros_;  // whose body is being parsed
  // Filters and tests that jinja2 doesn't know are errors of the template, but those in an `if`, or
  // in an expression with one, are errors only when they run. A block that has variables of its own
  // is no part of the `if` around it.
  bool soft_ = false;           // an unknown name here is an error only when it runs
  std::vector<Error> unknown_;  // of the other ones
};

}  // namespace braid::text::tmpl

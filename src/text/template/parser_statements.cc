#include <algorithm>

#include "text/template/parser.h"

namespace braid::text::tmpl {
namespace {

// Tags of jinja2 and its usual extensions that this engine lacks.
constexpr std::string_view kLackedTags[] = {"autoescape", "block", "debug",  "do",
                                            "extends",    "from",  "import", "include",
                                            "pluralize",  "print", "trans"};

bool is_constant(std::string_view name) {
  return name == "true" || name == "True" || name == "false" || name == "False" || name == "none" ||
         name == "None";
}

}  // namespace

Result<Block> parse_template(std::string_view source) {
  return Parser(TRY(tokenize(source))).parse();
}

Result<Block> Parser::parse() {
  Block block = TRY(parse_block({}));
  if (!unknown_.empty()) return unknown_.front();
  return block;
}

void Parser::note_unknown(const Error& error, int line) {
  if (!soft_) unknown_.push_back(syntax_error(line, std::string(error.message())));
}

bool Parser::is_op(std::string_view op) const {
  return current().type == TokenType::op && current().text == op;
}

bool Parser::is_name(std::string_view name) const {
  return current().type == TokenType::name && current().text == name;
}

bool Parser::take_op(std::string_view op) {
  if (!is_op(op)) return false;
  ++at_;
  return true;
}

bool Parser::take_name(std::string_view name) {
  if (!is_name(name)) return false;
  ++at_;
  return true;
}

Status Parser::expect_op(std::string_view op) {
  return take_op(op) ? Status() : Status(unexpected(fmt::format("'{}'", op)));
}

Status Parser::expect_name(std::string_view name) {
  return take_name(name) ? Status() : Status(unexpected(fmt::format("'{}'", name)));
}

Status Parser::expect(TokenType type, std::string_view what) {
  if (current().type != type) return unexpected(what);
  take();
  return {};
}

Result<std::string> Parser::expect_any_name(std::string_view what) {
  if (current().type != TokenType::name) return unexpected(what);
  return take().text;
}

Error Parser::unexpected(std::string_view wanted) const {
  return syntax(fmt::format("{} is expected, not {}", wanted, describe(current())));
}

Error Parser::lacks(const std::string& what) const {
  return Error(ErrorKind::unsupported, what + " is not supported").with("line", current().line);
}

// Statements up to a tag named in `ends`, which becomes the current token; without `ends` up to the
// template's end.
Result<Block> Parser::parse_block(Names ends) {
  if (block_nesting_ == kMaxBlockNesting) {
    return lacks(fmt::format("a block nested more than {} levels", kMaxBlockNesting));
  }
  ++block_nesting_;
  Block block;
  while (current().type != TokenType::end) {
    if (current().type == TokenType::data) {
      Token token = take();
      block.push_back({DataStmt{std::move(token.text)}, token.line});
    } else if (current().type == TokenType::variable_begin) {
      block.push_back(TRY(parse_print()));
    } else {
      take();  // block_begin
      if (std::any_of(ends.begin(), ends.end(), [&](auto name) { return is_name(name); })) break;
      block.push_back(TRY(parse_statement()));
      TRY(expect(TokenType::block_end, "'%}'"));
    }
  }
  if (current().type == TokenType::end && ends.size() > 0) {
    return unexpected(fmt::format("{{% {} %}}", *(ends.end() - 1)));
  }
  --block_nesting_;
  return block;
}

// What stands behind a tag that opens a block: its end, and the statements up to one of `ends`.
Result<Block> Parser::parse_body(Names ends) {
  take_op(":");
  TRY(expect(TokenType::block_end, "'%}'"));
  return parse_block(ends);
}

Result<Stmt> Parser::parse_print() {
  const int line = take().line;
  ExprPtr value = TRY(parse_tuple(true));
  TRY(expect(TokenType::variable_end, "'}}'"));
  return Stmt{PrintStmt{std::move(value)}, line};
}

Result<Stmt> Parser::parse_statement() {
  const int line = current().line;
  const std::string tag = TRY(expect_any_name("a tag's name"));
  Stmt::Node node = TRY(parse_tag(tag));
  return Stmt{std::move(node), line};
}

Result<Stmt::Node> Parser::parse_tag(const std::string& tag) {
  if (tag == "if") return parse_if();
  if (tag == "for") return parse_for();
  if (tag == "set") return parse_set();
  if (tag == "macro") return parse_macro();
  if (tag == "call") return parse_call_block();
  if (tag == "filter") return parse_filter_block();
  if (tag == "with") return parse_with();
  if (tag == "generation") return parse_generation();
  if (tag == "break" || tag == "continue") return parse_loop_control(tag);
  if (std::find(std::begin(kLackedTags), std::end(kLackedTags), tag) != std::end(kLackedTags)) {
    return lacks(fmt::format("the tag '{}'", tag));
  }
  return syntax(fmt::format("the tag '{}' is unknown or has no opening tag here", tag));
}

Result<Stmt::Node> Parser::parse_if() {
  IfStmt statement;
  const bool outer = std::exchange(soft_, true);
  do {
    ExprPtr test = TRY(parse_tuple(false));
    Block body = TRY(parse_body({"elif", "else", "endif"}));
    statement.branches.emplace_back(std::move(test), std::move(body));
  } while (take_name("elif"));
  if (take_name("else")) statement.otherwise = TRY(parse_body({"endif"}));
  TRY(expect_name("endif"));
  soft_ = outer;
  return Stmt::Node(std::move(statement));
}

Result<Stmt::Node> Parser::parse_for() {
  ForStmt statement;
  ++fors_;
  statement.target = TRY(parse_target(false, {"in"}));
  TRY(expect_name("in"));
  statement.items = TRY(parse_tuple(false, {"recursive"}));
  const bool outer = std::exchange(soft_, false);
  if (take_name("if")) statement.filter = TRY(parse_expression());
  if (is_name("recursive")) return lacks("the recursive 'for'");
  ++loops_;
  statement.body = TRY(parse_body({"else", "endfor"}));
  --loops_;
  if (take_name("else")) statement.otherwise = TRY(parse_body({"endfor"}));
  TRY(expect_name("endfor"));
  --fors_;
  soft_ = outer;
  return Stmt::Node(std::move(statement));
}

Result<Stmt::Node> Parser::parse_set() {
  Target target = TRY(parse_target(true));
  if (take_op("=")) {
    ExprPtr value = TRY(parse_tuple(true));
    return Stmt::Node(SetStmt{std::move(target), std::move(value)});
  }
  ExprPtr filter;
  const bool outer = std::exchange(soft_, false);
  if (take_op("|")) filter = TRY(parse_filter_chain());
  Block body = TRY(parse_body({"endset"}));
  TRY(expect_name("endset"));
  soft_ = outer;
  return Stmt::Node(SetBlockStmt{std::move(target), std::move(filter), std::move(body)});
}

// One or more filters without an input; the bar before the first is taken already, if there is one.
Result<ExprPtr> Parser::parse_filter_chain() {
  ExprPtr filter = TRY(parse_filter(nullptr));
  while (take_op("|")) filter = TRY(parse_filter(std::move(filter)));
  return filter;
}

Status Parser::parse_parameters(MacroNode& macro) {
  const bool outer = std::exchange(soft_, false);
  TRY(expect_op("("));
  while (!is_op(")")) {
    if (!macro.parameters.empty()) TRY(expect_op(","));
    MacroNode::Parameter parameter;
    parameter.name = TRY(expect_any_name("a parameter's name"));
    if (is_constant(parameter.name)) {
      return syntax(fmt::format("'{}' can't be a parameter", parameter.name));
    }
    if (take_op("=")) {
      parameter.fallback = TRY(parse_expression());
    } else if (!macro.parameters.empty() && macro.parameters.back().fallback != nullptr) {
      return syntax(fmt::format("the parameter '{}' has no default, but those before it have",
                                parameter.name));
    }
    macro.parameters.push_back(std::move(parameter));
  }
  soft_ = outer;
  return expect_op(")");
}

Result<Block> Parser::parse_macro_body(MacroNode& macro, std::string_view end) {
  const int outer_loops = std::exchange(loops_, 0);  // break can't leave a macro
  const bool outer_soft = std::exchange(soft_, false);
  macros_.push_back(&macro);
  Block body = TRY(parse_body({end}));
  macros_.pop_back();
  loops_ = outer_loops;
  soft_ = outer_soft;
  for (const MacroNode::Parameter& parameter : macro.parameters) {
    if (parameter.name == "caller") macro.uses_caller = false;
    if (parameter.name == "kwargs") macro.uses_kwargs = false;
    if (parameter.name == "varargs") macro.uses_varargs = false;
  }
  TRY(expect_name(end));
  return body;
}

Result<Stmt::Node> Parser::parse_macro() {
  auto macro = std::make_unique<MacroNode>();
  macro->name = TRY(expect_any_name("a macro's name"));
  if (is_constant(macro->name)) return syntax(fmt::format("'{}' can't be a macro", macro->name));
  TRY(parse_parameters(*macro));
  macro->body = TRY(parse_macro_body(*macro, "endmacro"));
  return Stmt::Node(MacroStmt{std::move(macro)});
}

Result<Stmt::Node> Parser::parse_call_block() {
  auto caller = std::make_unique<MacroNode>();
  caller->name = "caller";
  if (is_op("(")) TRY(parse_parameters(*caller));
  ExprPtr call = TRY(parse_expression());
  if (!std::holds_alternative<CallExpr>(call->node)) {
    return syntax("a {% call %} needs the call of a macro");
  }
  caller->body = TRY(parse_macro_body(*caller, "endcall"));
  return Stmt::Node(CallStmt{std::move(caller), std::move(call)});
}

Result<Stmt::Node> Parser::parse_filter_block() {
  const bool outer = std::exchange(soft_, false);
  ExprPtr filter = TRY(parse_filter_chain());
  Block body = TRY(parse_body({"endfilter"}));
  TRY(expect_name("endfilter"));
  soft_ = outer;
  return Stmt::Node(FilterStmt{std::move(filter), std::move(body)});
}

Result<Stmt::Node> Parser::parse_with() {
  WithStmt statement;
  while (current().type != TokenType::block_end) {
    if (!statement.values.empty()) TRY(expect_op(","));
    Target target = TRY(parse_target(false));
    TRY(expect_op("="));
    statement.values.emplace_back(std::move(target), TRY(parse_expression()));
  }
  const bool outer = std::exchange(soft_, false);
  statement.body = TRY(parse_body({"endwith"}));
  TRY(expect_name("endwith"));
  soft_ = outer;
  return Stmt::Node(std::move(statement));
}

Result<Stmt::Node> Parser::parse_generation() {
  const int outer_loops = std::exchange(loops_, 0);
  const bool outer_soft = std::exchange(soft_, false);
  GenerationStmt statement{TRY(parse_body({"endgeneration"}))};
  loops_ = outer_loops;
  soft_ = outer_soft;
  TRY(expect_name("endgeneration"));
  return Stmt::Node(std::move(statement));
}

Result<Stmt::Node> Parser::parse_loop_control(const std::string& tag) {
  if (loops_ == 0) return syntax(fmt::format("'{}' stands outside of a loop", tag));
  return tag == "break" ? Stmt::Node(BreakStmt{}) : Stmt::Node(ContinueStmt{});
}

Result<Target> Parser::parse_target(bool with_attributes, Names ends) {
  Target first = TRY(parse_single_target(with_attributes));
  if (!is_op(",")) return first;
  Target target;
  target.tuple = true;
  target.parts.push_back(std::move(first));
  while (take_op(",")) {
    if (is_op(")") || std::any_of(ends.begin(), ends.end(), [&](auto n) { return is_name(n); })) {
      break;
    }
    target.parts.push_back(TRY(parse_single_target(with_attributes)));
  }
  return target;
}

Result<Target> Parser::parse_single_target(bool with_attributes) {
  if (take_op("(")) {
    if (++nesting_ > kMaxExprHeight) return lacks("that many brackets");
    Target target = TRY(parse_target(false));
    --nesting_;
    TRY(expect_op(")"));
    return target;
  }
  Target target;
  target.name = TRY(expect_any_name("a variable's name"));
  if (is_constant(target.name)) {
    return syntax(fmt::format("'{}' can't be assigned to", target.name));
  }
  if (target.name == "loop" && fors_ > 0) return syntax("'loop' can't be assigned to in a 'for'");
  if (with_attributes && take_op(".")) {
    target.attribute = TRY(expect_any_name("an attribute's name"));
  } else if (is_op(".") || is_op("[")) {
    return lacks("assigning to an item or attribute here");
  }
  return target;
}

}  // namespace braid::text::tmpl

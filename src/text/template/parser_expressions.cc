#include <algorithm>

#include "text/template/filters.h"
#include "text/template/parser.h"
#include "text/template/tests.h"
#include "text/utf8.h"

namespace braid::text::tmpl {
namespace {

// Counts a level of nesting while it lives.
class Level {
 public:
  explicit Level(int& count) : count_(++count) {}
  Level(const Level&) = delete;
  Level& operator=(const Level&) = delete;
  ~Level() { --count_; }

 private:
  int& count_;
};

// Calls visit(child) for each direct child; a child may be null.
struct Children {
  void (*visit)(const ExprPtr&, int&);
  int& height;

  void one(const ExprPtr& expr) const { visit(expr, height); }
  void all(const std::vector<ExprPtr>& exprs) const {
    for (const ExprPtr& expr : exprs) one(expr);
  }
  void all(const std::vector<ArgumentNode>& arguments) const {
    for (const ArgumentNode& argument : arguments) one(argument.value);
  }
  void operator()(const LiteralExpr&) const {}
  void operator()(const NameExpr&) const {}
  void operator()(const ListExpr& list) const { all(list.items); }
  void operator()(const DictExpr& dict) const {
    for (const auto& [key, value] : dict.pairs) one(key), one(value);
  }
  void operator()(const SignExpr& sign) const { one(sign.operand); }
  void operator()(const NotExpr& expr) const { one(expr.operand); }
  void operator()(const BinaryExpr& binary) const { one(binary.left), one(binary.right); }
  void operator()(const LogicalExpr& logical) const { one(logical.left), one(logical.right); }
  void operator()(const ConcatExpr& concat) const { all(concat.parts); }
  void operator()(const CompareExpr& compare) const {
    one(compare.first);
    for (const auto& part : compare.rest) one(part.second);
  }
  void operator()(const ConditionalExpr& expr) const {
    one(expr.test), one(expr.yes), one(expr.no);
  }
  void operator()(const AttributeExpr& attribute) const { one(attribute.object); }
  void operator()(const ItemExpr& item) const { one(item.object), one(item.index); }
  void operator()(const SliceExpr& slice) const {
    one(slice.object), one(slice.start), one(slice.stop), one(slice.step);
  }
  void operator()(const CallExpr& call) const { one(call.callee), all(call.arguments); }
  void operator()(const ApplyExpr& apply) const { one(apply.input), all(apply.arguments); }
};

struct Symbol {
  std::string_view text;
  Operator op;
};
constexpr Symbol kSums[] = {{"+", Operator::add}, {"-", Operator::subtract}};
constexpr Symbol kProducts[] = {{"*", Operator::multiply},
                                {"/", Operator::divide},
                                {"//", Operator::floor_divide},
                                {"%", Operator::modulo}};

const Symbol* find_symbol(std::span<const Symbol> symbols, const Token& token) {
  if (token.type != TokenType::op) return nullptr;
  const auto found = std::find_if(symbols.begin(), symbols.end(),
                                  [&](const Symbol& s) { return s.text == token.text; });
  return found == symbols.end() ? nullptr : &*found;
}

constexpr std::pair<std::string_view, Comparison> kComparisons[] = {
    {"==", Comparison::equal},  {"!=", Comparison::not_equal},
    {"<", Comparison::less},    {"<=", Comparison::less_equal},
    {">", Comparison::greater}, {">=", Comparison::greater_equal}};

Value text_literal(std::string bytes) {
  const int64_t length = count_chars(bytes);
  return std::make_shared<const Text>(Text{std::move(bytes), length});
}

}  // namespace

Result<ExprPtr> Parser::make(int line, Expr::Node node) const {
  int height = 0;
  const auto raise = [](const ExprPtr& child, int& highest) {
    if (child != nullptr) highest = std::max(highest, child->height);
  };
  std::visit(Children{raise, height}, node);
  if (height >= kMaxExprHeight) {
    return lacks(fmt::format("an expression nested more than {} levels", kMaxExprHeight));
  }
  return std::make_unique<Expr>(Expr{std::move(node), line, height + 1});
}

// Each level of brackets is an expression in a sign's operand: two steps.
Status Parser::check_nesting() const {
  if (nesting_ <= 2 * kMaxExprHeight) return {};
  return lacks(fmt::format("an expression nested more than {} levels", kMaxExprHeight));
}

Result<ExprPtr> Parser::parse_expression(bool with_condition) {
  const Level level(nesting_);
  TRY(check_nesting());
  return with_condition ? parse_conditional() : parse_or();
}

Result<ExprPtr> Parser::parse_conditional() {
  int line = current().line;
  const size_t unknown = unknown_.size();
  ExprPtr expr = TRY(parse_or());
  while (take_name("if")) {
    ExprPtr test = TRY(parse_or());
    ExprPtr no;
    if (take_name("else")) no = TRY(parse_expression());
    expr = TRY(make(line, ConditionalExpr{std::move(test), std::move(expr), std::move(no)}));
    line = current().line;
    unknown_.erase(unknown_.begin() + static_cast<int64_t>(unknown), unknown_.end());
  }
  return expr;
}

Result<ExprPtr> Parser::parse_or() {
  ExprPtr left = TRY(parse_and());
  while (is_name("or")) {
    const int line = take().line;
    ExprPtr right = TRY(parse_and());
    left = TRY(make(line, LogicalExpr{true, std::move(left), std::move(right)}));
  }
  return left;
}

Result<ExprPtr> Parser::parse_and() {
  ExprPtr left = TRY(parse_not());
  while (is_name("and")) {
    const int line = take().line;
    ExprPtr right = TRY(parse_not());
    left = TRY(make(line, LogicalExpr{false, std::move(left), std::move(right)}));
  }
  return left;
}

Result<ExprPtr> Parser::parse_not() {
  std::vector<int> lines;  // of the nots
  while (is_name("not")) lines.push_back(take().line);
  ExprPtr expr = TRY(parse_compare());
  for (; !lines.empty(); lines.pop_back()) {
    expr = TRY(make(lines.back(), NotExpr{std::move(expr)}));
  }
  return expr;
}

Result<ExprPtr> Parser::parse_compare() {
  const int line = current().line;
  ExprPtr first = TRY(parse_sum());
  std::vector<std::pair<Comparison, ExprPtr>> rest;
  while (true) {
    const Token& token = current();
    const auto* known =
        std::find_if(std::begin(kComparisons), std::end(kComparisons), [&](const auto& comparison) {
          return token.type == TokenType::op && token.text == comparison.first;
        });
    Comparison op = Comparison::in;
    if (known != std::end(kComparisons)) {
      op = known->second;
    } else if (is_name("not") && next().type == TokenType::name && next().text == "in") {
      op = Comparison::not_in;
      take();
    } else if (!is_name("in")) {
      break;
    }
    take();
    rest.emplace_back(op, TRY(parse_sum()));
  }
  if (rest.empty()) return first;
  return make(line, CompareExpr{std::move(first), std::move(rest)});
}

Result<ExprPtr> Parser::parse_sum() {
  ExprPtr left = TRY(parse_concat());
  while (const Symbol* symbol = find_symbol(kSums, current())) {
    const int line = take().line;
    ExprPtr right = TRY(parse_concat());
    left = TRY(make(line, BinaryExpr{symbol->op, std::move(left), std::move(right)}));
  }
  return left;
}

Result<ExprPtr> Parser::parse_concat() {
  const int line = current().line;
  std::vector<ExprPtr> parts;
  do {
    parts.push_back(TRY(parse_product()));
  } while (take_op("~"));
  if (parts.size() == 1) return std::move(parts[0]);
  return make(line, ConcatExpr{std::move(parts)});
}

Result<ExprPtr> Parser::parse_product() {
  ExprPtr left = TRY(parse_power());
  while (const Symbol* symbol = find_symbol(kProducts, current())) {
    const int line = take().line;
    ExprPtr right = TRY(parse_power());
    left = TRY(make(line, BinaryExpr{symbol->op, std::move(left), std::move(right)}));
  }
  return left;
}

Result<ExprPtr> Parser::parse_power() {
  ExprPtr left = TRY(parse_unary());
  while (is_op("**")) {
    const int line = take().line;
    ExprPtr right = TRY(parse_unary());
    left = TRY(make(line, BinaryExpr{Operator::power, std::move(left), std::move(right)}));
  }
  return left;
}

// Unlike in Python a sign binds more closely than ** and filters: -1|abs is 1.
Result<ExprPtr> Parser::parse_unary(bool with_filters) {
  const Level level(nesting_);
  TRY(check_nesting());
  const int line = current().line;
  ExprPtr expr;
  if (is_op("-") || is_op("+")) {
    const bool negative = take().text == "-";
    expr = TRY(parse_unary(false));
    expr = TRY(make(line, SignExpr{negative, std::move(expr)}));
  } else {
    expr = TRY(parse_primary());
  }
  expr = TRY(parse_postfix(std::move(expr)));
  return with_filters ? parse_filters_and_tests(std::move(expr)) : Result<ExprPtr>(std::move(expr));
}

Result<ExprPtr> Parser::parse_primary() {
  const int line = current().line;
  switch (current().type) {
    case TokenType::name: return parse_name();
    case TokenType::integer: return make(line, LiteralExpr{Value(take().integer)});
    case TokenType::real: return make(line, LiteralExpr{Value(take().real)});
    case TokenType::string: {
      std::string text;  // neighbours are joined
      while (current().type == TokenType::string) text += take().text;
      return make(line, LiteralExpr{text_literal(std::move(text))});
    }
    default: break;
  }
  if (take_op("(")) {
    ExprPtr expr = TRY(parse_tuple(true, {}, /*in_parentheses=*/true));
    TRY(expect_op(")"));
    return expr;
  }
  if (is_op("[")) return parse_list();
  if (is_op("{")) return parse_dict();
  return unexpected("an expression");
}

Result<ExprPtr> Parser::parse_name() {
  Token token = take();
  const std::string& name = token.text;
  if (name == "true" || name == "True") return make(token.line, LiteralExpr{Value(true)});
  if (name == "false" || name == "False") return make(token.line, LiteralExpr{Value(false)});
  if (name == "none" || name == "None") return make(token.line, LiteralExpr{Value()});
  for (MacroNode* macro : macros_) {
    macro->uses_caller = macro->uses_caller || name == "caller";
    macro->uses_kwargs = macro->uses_kwargs || name == "kwargs";
    macro->uses_varargs = macro->uses_varargs || name == "varargs";
  }
  return make(token.line, NameExpr{std::move(token.text)});
}

Result<ExprPtr> Parser::parse_list() {
  const int line = take().line;
  std::vector<ExprPtr> items;
  while (!is_op("]")) {
    if (!items.empty()) TRY(expect_op(","));
    if (is_op("]")) break;
    items.push_back(TRY(parse_expression()));
  }
  TRY(expect_op("]"));
  return make(line, ListExpr{std::move(items)});
}

Result<ExprPtr> Parser::parse_dict() {
  const int line = take().line;
  std::vector<std::pair<ExprPtr, ExprPtr>> pairs;
  while (!is_op("}")) {
    if (!pairs.empty()) TRY(expect_op(","));
    if (is_op("}")) break;
    ExprPtr key = TRY(parse_expression());
    TRY(expect_op(":"));
    pairs.emplace_back(std::move(key), TRY(parse_expression()));
  }
  TRY(expect_op("}"));
  return make(line, DictExpr{std::move(pairs)});
}

Result<ExprPtr> Parser::parse_tuple(bool with_condition, Names ends, bool in_parentheses) {
  const int line = current().line;
  const auto at_end = [&] {
    return current().type == TokenType::variable_end || current().type == TokenType::block_end ||
           is_op(")") || std::any_of(ends.begin(), ends.end(), [&](auto n) { return is_name(n); });
  };
  std::vector<ExprPtr> items;
  bool tuple = false;
  while (!at_end()) {
    items.push_back(TRY(parse_expression(with_condition)));
    if (!take_op(",")) break;
    tuple = true;
  }
  if (!tuple && items.size() == 1) return std::move(items[0]);
  if (!tuple && !in_parentheses) return unexpected("an expression");
  return make(line, ListExpr{std::move(items), /*tuple=*/true});
}

Result<ExprPtr> Parser::parse_postfix(ExprPtr expr) {
  while (true) {
    if (is_op(".")) {
      expr = TRY(parse_attribute(std::move(expr)));
    } else if (is_op("[")) {
      expr = TRY(parse_subscript(std::move(expr)));
    } else if (is_op("(")) {
      expr = TRY(parse_call(std::move(expr)));
    } else {
      return expr;
    }
  }
}

Result<ExprPtr> Parser::parse_filters_and_tests(ExprPtr expr) {
  while (true) {
    if (take_op("|")) {
      expr = TRY(parse_filter(std::move(expr)));
    } else if (is_name("is")) {
      expr = TRY(parse_test(std::move(expr)));
    } else if (is_op("(")) {
      expr = TRY(parse_call(std::move(expr)));
    } else {
      return expr;
    }
  }
}

Result<ExprPtr> Parser::parse_attribute(ExprPtr object) {
  const int line = take().line;
  if (current().type == TokenType::name) {
    return make(line, AttributeExpr{std::move(object), take().text});
  }
  if (current().type != TokenType::integer) return unexpected("a name or number");
  ExprPtr index = TRY(make(line, LiteralExpr{Value(take().integer)}));
  return make(line, ItemExpr{std::move(object), std::move(index)});
}

Result<ExprPtr> Parser::parse_subscript(ExprPtr object) {
  const int line = take().line;
  std::vector<ExprPtr> indices;
  while (!is_op("]")) {
    if (!indices.empty()) TRY(expect_op(","));
    ExprPtr index;
    if (!is_op(":")) index = TRY(parse_expression());
    if (is_op(":")) {
      if (!indices.empty()) return lacks("a slice among several indices");
      return parse_slice(std::move(object), line, std::move(index));
    }
    indices.push_back(std::move(index));
  }
  TRY(expect_op("]"));
  if (indices.size() == 1) {
    return make(line, ItemExpr{std::move(object), std::move(indices[0])});
  }
  ExprPtr tuple = TRY(make(line, ListExpr{std::move(indices), /*tuple=*/true}));
  return make(line, ItemExpr{std::move(object), std::move(tuple)});
}

Result<ExprPtr> Parser::parse_slice(ExprPtr object, int line, ExprPtr start) {
  TRY(expect_op(":"));
  SliceExpr slice{std::move(object), std::move(start), nullptr, nullptr};
  if (!is_op(":") && !is_op("]") && !is_op(",")) slice.stop = TRY(parse_expression());
  if (take_op(":") && !is_op("]") && !is_op(",")) slice.step = TRY(parse_expression());
  if (is_op(",")) return lacks("a slice among several indices");
  TRY(expect_op("]"));
  return make(line, std::move(slice));
}

Result<ExprPtr> Parser::parse_call(ExprPtr callee) {
  const int line = current().line;
  std::vector<ArgumentNode> arguments = TRY(parse_arguments());
  return make(line, CallExpr{std::move(callee), std::move(arguments)});
}

Result<std::vector<ArgumentNode>> Parser::parse_arguments() {
  TRY(expect_op("("));
  std::vector<ArgumentNode> arguments;
  while (!is_op(")")) {
    if (!arguments.empty()) TRY(expect_op(","));
    if (is_op(")")) break;
    ArgumentNode argument = TRY(parse_argument());
    // In the order that Python wants: positional, *list, named, **dict.
    const auto kind_before = [&](ArgumentNode::Kind kind) {
      return std::any_of(arguments.begin(), arguments.end(),
                         [&](const ArgumentNode& a) { return a.kind == kind; });
    };
    using Kind = ArgumentNode::Kind;
    const bool misplaced = kind_before(Kind::spread_dict) ||
                           (argument.kind == Kind::positional &&
                            (kind_before(Kind::named) || kind_before(Kind::spread_list))) ||
                           (argument.kind == Kind::spread_list && kind_before(Kind::spread_list));
    if (misplaced) return syntax("the arguments of a call are out of order");
    const bool repeated = argument.kind == Kind::named &&
                          std::any_of(arguments.begin(), arguments.end(),
                                      [&](const auto& a) { return a.name == argument.name; });
    if (repeated) return syntax(fmt::format("the argument '{}' is given twice", argument.name));
    arguments.push_back(std::move(argument));
  }
  TRY(expect_op(")"));
  return arguments;
}

Result<ArgumentNode> Parser::parse_argument() {
  using Kind = ArgumentNode::Kind;
  ArgumentNode argument{Kind::positional, "", nullptr};
  if (take_op("*")) {
    argument.kind = Kind::spread_list;
  } else if (take_op("**")) {
    argument.kind = Kind::spread_dict;
  } else if (current().type == TokenType::name && next().type == TokenType::op &&
             next().text == "=") {
    argument.kind = Kind::named;
    argument.name = take().text;
    take();
  }
  argument.value = TRY(parse_expression());
  return argument;
}

Result<std::string> Parser::parse_dotted_name(std::string_view what) {
  std::string name = TRY(expect_any_name(what));
  while (take_op(".")) name += "." + TRY(expect_any_name(what));
  return name;
}

Result<ExprPtr> Parser::parse_filter(ExprPtr input) {
  const int line = current().line;
  const std::string name = TRY(parse_dotted_name("a filter's name"));
  if (!is_jinja_filter(name)) note_unknown(no_such_filter(name), line);
  std::vector<ArgumentNode> arguments;
  if (is_op("(")) arguments = TRY(parse_arguments());
  return make(line,
              ApplyExpr{std::move(input), name, false, find_filter(name), std::move(arguments)});
}

Result<ExprPtr> Parser::parse_test(ExprPtr input) {
  const int line = take().line;
  const bool negated = take_name("not");
  const std::string name = TRY(parse_dotted_name("a test's name"));
  if (!is_jinja_test(name)) note_unknown(no_such_test(name), line);
  std::vector<ArgumentNode> arguments;
  const TokenType type = current().type;
  const bool starts_argument =
      (type == TokenType::name && !is_name("else") && !is_name("or") && !is_name("and")) ||
      type == TokenType::string || type == TokenType::integer || type == TokenType::real ||
      is_op("[") || is_op("{");
  if (is_op("(")) {
    arguments = TRY(parse_arguments());
  } else if (starts_argument) {
    if (is_name("is")) return syntax("tests with 'is' can't be chained");
    ExprPtr value = TRY(parse_primary());
    value = TRY(parse_postfix(std::move(value)));
    arguments.push_back({ArgumentNode::Kind::positional, "", std::move(value)});
  }
  ExprPtr test = TRY(
      make(line, ApplyExpr{std::move(input), name, true, find_test(name), std::move(arguments)}));
  if (!negated) return test;
  return make(line, NotExpr{std::move(test)});
}

}  // namespace braid::text::tmpl

#include "text/template/lexer.h"

#include <charconv>
#include <cstdlib>

#include "text/template/string_literal.h"
#include "text/template/text_ops.h"
#include "text/template/unicode.h"
#include "text/utf8.h"

namespace braid::text::tmpl {
namespace {

bool is_ascii_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_name_part(char c) { return is_name_start(c) || is_ascii_digit(c); }

constexpr std::string_view kOperators[] = {"**", "//", "==", "!=", ">=", "<=", "+", "-", "/",
                                           "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                           ">",  "<",  "=",  ".",  ":",  "|",  ",", ";"};

// "\r\n" and "\r" become "\n", and one newline at the end is dropped.
std::string normalize(std::string_view source) {
  std::string out = normalize_newlines(source);
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(normalize(source)), rest_(source_) {}

  Result<std::vector<Token>> run() {
    while (!rest_.empty()) TRY(read_data());
    add(TokenType::end);
    return std::move(tokens_);
  }

 private:
  // Moves behind `bytes` of the source.
  void skip(size_t bytes) {
    for (const char c : rest_.substr(0, bytes)) line_ += c == '\n';
    if (bytes > 0) at_line_start_ = rest_[bytes - 1] == '\n';
    rest_.remove_prefix(bytes);
  }
  void skip_space() { skip(rest_.size() - strip_space(rest_, Side::left).size()); }
  bool take(std::string_view text) {
    if (!rest_.starts_with(text)) return false;
    skip(text.size());
    return true;
  }

  Token& add(TokenType type, std::string text = "") {
    tokens_.push_back({.type = type, .text = std::move(text), .line = line_});
    return tokens_.back();
  }

  // Adds template text that a tag follows, which may take white space off its end: '-' takes all of
  // it; a block or comment without '+' takes the blanks of its own line.
  void add_data(std::string_view text, char sign, bool variable, int line, bool at_line_start) {
    if (sign == '-') {
      text = strip_space(text, Side::right);
    } else if (sign != '+' && !variable) {
      const size_t line_begin = text.rfind('\n') + 1;  // 0 when there is no newline
      if ((line_begin > 0 || at_line_start) &&
          strip_space(text.substr(line_begin), Side::left).empty()) {
        text = text.substr(0, line_begin);
      }
    }
    if (!text.empty()) add(TokenType::data, std::string(text)).line = line;
  }

  // Template text up to the next tag, and that tag.
  Status read_data() {
    size_t at = 0;
    const auto begins_tag = [&] {
      return rest_[at] == '{' &&
             (rest_[at + 1] == '%' || rest_[at + 1] == '{' || rest_[at + 1] == '#');
    };
    while (at + 1 < rest_.size() && !begins_tag()) ++at;
    if (at + 1 >= rest_.size()) {
      add(TokenType::data, std::string(rest_));
      skip(rest_.size());
      return {};
    }
    const std::string_view text = rest_.substr(0, at);
    const int line = line_;
    const bool at_line_start = at_line_start_;
    skip(at);
    const char kind = rest_[1];
    size_t raw_size = 0;
    const bool raw = kind == '%' && is_raw_tag("raw", /*end=*/false, raw_size);
    const char sign = rest_.size() > 2 && (rest_[2] == '-' || rest_[2] == '+') ? rest_[2] : 0;
    add_data(text, sign, kind == '{', line, at_line_start);
    if (raw) {
      skip(raw_size);
      return read_raw();
    }
    skip(sign == 0 ? 2 : 3);
    if (kind == '#') return read_comment();
    return read_tag(kind == '{');
  }

  // Whether {% word %} stands here, with any white space control, and its bytes.
  bool is_raw_tag(std::string_view word, bool end, size_t& bytes) const {
    std::string_view text = rest_.substr(2);
    if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
    text = strip_space(text, Side::left);
    if (!text.starts_with(word)) return false;
    text = strip_space(text.substr(word.size()), Side::left);
    if (text.starts_with("-%}")) {
      text = strip_space(text.substr(3), Side::left);
    } else if (end && text.starts_with("+%}")) {
      text.remove_prefix(3);
    } else if (text.starts_with("%}")) {
      text.remove_prefix(2);
      if (end && text.starts_with('\n')) text.remove_prefix(1);
    } else {
      return false;
    }
    bytes = rest_.size() - text.size();
    return true;
  }

  // The text up to {% endraw %}, which keeps what looks like tags.
  Status read_raw() {
    const std::string_view all = rest_;
    const int line = line_;
    const bool at_line_start = at_line_start_;
    for (size_t at = all.find("{%"); at != std::string_view::npos; at = all.find("{%", at + 1)) {
      skip(at - (all.size() - rest_.size()));
      size_t bytes = 0;
      if (!is_raw_tag("endraw", /*end=*/true, bytes)) continue;
      const char sign = rest_[2] == '-' || rest_[2] == '+' ? rest_[2] : 0;
      add_data(all.substr(0, at), sign, false, line, at_line_start);
      skip(bytes);
      return {};
    }
    return syntax_error(line, "a {% raw %} has no {% endraw %}");
  }

  Status read_comment() {
    const size_t end = rest_.find("#}");
    if (end == std::string_view::npos) return syntax_error(line_, "a comment has no end '#}'");
    const char sign = end > 0 ? rest_[end - 1] : 0;
    skip(end + 2);
    if (sign == '-') {
      skip_space();
    } else if (sign != '+') {
      take("\n");
    }
    return {};
  }

  // The tokens of {{ ... }} or {% ... %}, with its begin and end.
  Status read_tag(bool variable) {
    add(variable ? TokenType::variable_begin : TokenType::block_begin);
    const int begin = line_;
    while (true) {
      skip_space();
      if (rest_.empty()) {
        return syntax_error(begin, variable ? "a '{{' has no '}}'" : "a '{%' has no '%}'");
      }
      if (brackets_.empty() && (variable ? ends_variable() : ends_block())) return {};
      TRY(read_token());
    }
  }

  bool ends_variable() {
    const int line = line_;
    if (take("-}}")) {
      skip_space();
    } else if (!take("}}")) {
      return false;
    }
    add(TokenType::variable_end).line = line;
    return true;
  }

  bool ends_block() {
    const int line = line_;
    if (take("-%}")) {
      skip_space();
    } else if (take("%}")) {
      take("\n");
    } else if (!take("+%}")) {
      return false;
    }
    add(TokenType::block_end).line = line;
    return true;
  }

  Status read_token() {
    const char c = rest_[0];
    if (is_ascii_digit(c)) return read_number();
    if (is_name_start(c)) {
      size_t end = 1;
      while (end < rest_.size() && is_name_part(rest_[end])) ++end;
      add(TokenType::name, std::string(rest_.substr(0, end)));
      skip(end);
      return {};
    }
    if (c == '\'' || c == '"') return read_string(c);
    for (const std::string_view op : kOperators) {
      if (!rest_.starts_with(op)) continue;
      TRY(balance(c));
      add(TokenType::op, std::string(op));
      skip(op.size());
      return {};
    }
    if (static_cast<unsigned char>(c) >= 0x80) {
      return Error(ErrorKind::unsupported, "names have only letters of ASCII").with("line", line_);
    }
    return syntax_error(line_, fmt::format("unexpected character '{}'", c));
  }

  // Keeps the brackets that are open: the end of a tag counts only outside of them.
  Status balance(char c) {
    if (c == '(' || c == '[' || c == '{') brackets_ += c == '(' ? ')' : c == '[' ? ']' : '}';
    if (c != ')' && c != ']' && c != '}') return {};
    if (brackets_.empty()) return syntax_error(line_, fmt::format("unexpected '{}'", c));
    if (brackets_.back() != c) {
      return syntax_error(line_, fmt::format("unexpected '{}', '{}' is open", c, brackets_.back()));
    }
    brackets_.pop_back();
    return {};
  }

  Status read_string(char quote) {
    size_t end = 1;
    while (end < rest_.size() && rest_[end] != quote) end += rest_[end] == '\\' ? 2 : 1;
    if (end >= rest_.size()) return syntax_error(line_, "a string has no end");
    const Result<std::string> value = unescape(rest_.substr(1, end - 1));
    if (!value.ok()) return Error(value.error()).with("line", line_);
    add(TokenType::string, *value);
    skip(end + 1);
    return {};
  }

  // The length of digits, single underscores between them allowed, at `from`; 0 when there are
  // none.
  template <typename IsDigit>
  size_t digits(size_t from, const IsDigit& is_digit) const {
    size_t at = from;
    while (at < rest_.size() && is_digit(rest_[at])) {
      ++at;
      if (at + 1 < rest_.size() && rest_[at] == '_' && is_digit(rest_[at + 1])) ++at;
    }
    return at - from;
  }

  Status read_number() {
    size_t end = digits(0, is_ascii_digit);
    bool real = false;
    // x.0.1 is item 1 of item 0: behind a dot a number has no fraction.
    if (rest_.data()[-1] == '.') return read_integer(end);
    if (end < rest_.size() && rest_[end] == '.') {
      const size_t fraction = digits(end + 1, is_ascii_digit);
      real = fraction > 0;
      if (real) end += 1 + fraction;
    }
    if (end < rest_.size() && (rest_[end] == 'e' || rest_[end] == 'E')) {
      const size_t sign =
          end + 1 < rest_.size() && (rest_[end + 1] == '+' || rest_[end + 1] == '-') ? 1 : 0;
      const size_t exponent = digits(end + 1 + sign, is_ascii_digit);
      if (exponent > 0) {
        real = true;
        end += 1 + sign + exponent;
      }
    }
    if (real) {
      std::string text;
      for (const char c : rest_.substr(0, end)) {
        if (c != '_') text += c;
      }
      add(TokenType::real).real = std::strtod(text.c_str(), nullptr);
      skip(end);
      return {};
    }
    return read_integer(end);
  }

  // An int of `end` decimal digits, or one with a prefix 0x, 0o or 0b.
  Status read_integer(size_t end) {
    int base = 10;
    size_t begin = 0;
    const char prefix = rest_.size() > 1 && rest_[0] == '0' ? rest_[1] : 0;
    for (const auto& [letter, value] : {std::pair('x', 16), std::pair('o', 8), std::pair('b', 2)}) {
      if ((prefix | 0x20) != letter) continue;
      const auto is_digit = [value = value](char c) {
        const char lower = static_cast<char>(c | 0x20);
        return is_ascii_digit(c) ? c - '0' < value : value == 16 && lower >= 'a' && lower <= 'f';
      };
      begin = rest_.size() > 2 && rest_[2] == '_' ? 3 : 2;
      const size_t count = digits(begin, is_digit);
      if (count == 0) return syntax_error(line_, "a number has a prefix but no digits");
      base = value;
      end = begin + count;
    }
    if (base == 10 && rest_[0] == '0') {  // 00 is a number, 01 is two, which no template means
      if (rest_.substr(0, end).find_first_not_of("0_") != std::string_view::npos) {
        return syntax_error(line_, "an int starts with 0");
      }
    }
    std::string text;
    for (const char c : rest_.substr(begin, end - begin)) {
      if (c != '_') text += c;
    }
    int64_t value = 0;
    if (std::from_chars(text.data(), text.data() + text.size(), value, base).ec != std::errc()) {
      return Error(ErrorKind::unsupported, "an int has more than 64 bits").with("line", line_);
    }
    add(TokenType::integer).integer = value;
    skip(end);
    return {};
  }

  const std::string source_;
  std::string_view rest_;  // what is still to be read of source_
  int line_ = 1;
  bool at_line_start_ = true;
  std::string brackets_;  // that close the open ones
  std::vector<Token> tokens_;
};

}  // namespace

Result<std::vector<Token>> tokenize(std::string_view source) {
  if (!is_valid_utf8(source)) return Error(ErrorKind::corrupt_data, "the template is not UTF-8");
  return Lexer(source).run();
}

std::string describe(const Token& token) {
  switch (token.type) {
    case TokenType::data: return "template text";
    case TokenType::block_begin: return "'{%'";
    case TokenType::block_end: return "'%}'";
    case TokenType::variable_begin: return "'{{'";
    case TokenType::variable_end: return "'}}'";
    case TokenType::name:
    case TokenType::op: return "'" + token.text + "'";
    case TokenType::string: return "a string";
    case TokenType::integer:
    case TokenType::real: return "a number";
    case TokenType::end: return "the template's end";
  }
  return "";
}

Error syntax_error(int line, std::string message) {
  return Error(ErrorKind::corrupt_data, std::move(message)).with("line", line);
}

}  // namespace braid::text::tmpl

#include "text/template/lexer.h"

#include <gtest/gtest.h>

#include "text/template/string_literal.h"

namespace braid::text::tmpl {
namespace {

// The tokens as "type:text" with blanks between, names and operators as they are.
std::string tokens_of(std::string_view source) {
  const auto tokens = tokenize(source);
  if (!tokens.ok()) return "error: " + tokens.error().to_string();
  std::string out;
  for (const Token& token : *tokens) {
    if (!out.empty()) out += ' ';
    switch (token.type) {
      case TokenType::data: out += "<" + token.text + ">"; break;
      case TokenType::string: out += "\"" + token.text + "\""; break;
      case TokenType::integer: out += fmt::format("i{}", token.integer); break;
      case TokenType::real: out += fmt::format("f{}", token.real); break;
      case TokenType::name:
      case TokenType::op: out += token.text; break;
      case TokenType::block_begin: out += "{%"; break;
      case TokenType::block_end: out += "%}"; break;
      case TokenType::variable_begin: out += "{{"; break;
      case TokenType::variable_end: out += "}}"; break;
      case TokenType::end: out += "."; break;
    }
  }
  return out;
}

TEST(LexerTest, Tags) {
  EXPECT_EQ(tokens_of("a{{ b }}c{% if d %}{# e #}f"), "<a> {{ b }} <c> {% if d %} <f> .");
  EXPECT_EQ(tokens_of("{"), "<{> .");
  EXPECT_EQ(tokens_of("{ {a} } %}"), "<{ {a} } %}> .");
  EXPECT_EQ(tokens_of("{{ {'a': {}} }}"), "{{ { \"a\" : { } } }} .");
  EXPECT_EQ(tokens_of("{{{'a':{}}}}"), "{{ { \"a\" : { } } }} .");
}

TEST(LexerTest, Operators) {
  EXPECT_EQ(tokens_of("{{ a**b//c==d!=e>=f<=g-h~i|j }}"),
            "{{ a ** b // c == d != e >= f <= g - h ~ i | j }} .");
}

TEST(LexerTest, Numbers) {
  EXPECT_EQ(tokens_of("{{ 1 1_000 0x1F 0b11 0o17 0 00 }}"), "{{ i1 i1000 i31 i3 i15 i0 i0 }} .");
  EXPECT_EQ(tokens_of("{{ 1.5 1e3 1_0.2_5 2E-1 1e+2 }}"), "{{ f1.5 f1000 f10.25 f0.2 f100 }} .");
  EXPECT_EQ(tokens_of("{{ 1.a x.0.1 }}"), "{{ i1 . a x . i0 . i1 }} .");
  EXPECT_EQ(tokens_of("{{ 9223372036854775807 }}"), "{{ i9223372036854775807 }} .");
}

TEST(LexerTest, Strings) {
  EXPECT_EQ(tokens_of(R"({{ 'a' "b" 'it\'s' "%}" '}}' }})"), R"({{ "a" "b" "it's" "%}" "}}" }} .)");
  EXPECT_EQ(tokens_of("{{ 'a\r\nb' }}"), "{{ \"a\nb\" }} .");
}

TEST(LexerTest, LinesAreCountedThroughEverything) {
  const auto tokens = tokenize("a\n{# b\n #}{{ 'c\nd'\n }}{% raw %}\n{% endraw %}\n\n{{- e }}");
  ASSERT_TRUE(tokens.ok());
  std::string lines;
  for (const Token& token : *tokens) {
    lines += fmt::format("{}{}", lines.empty() ? "" : " ", token.line);
  }
  // a, {{, the string, }}, the raw text, {{, e, }}, and the end
  EXPECT_EQ(lines, "1 3 3 5 5 8 8 8 8");
}

TEST(LexerTest, Errors) {
  EXPECT_EQ(tokens_of("\n{{ a"), "error: a '{{' has no '}}' (line = 2)");
  EXPECT_EQ(tokens_of("{% a"), "error: a '{%' has no '%}' (line = 1)");
  EXPECT_EQ(tokens_of("{# a"), "error: a comment has no end '#}' (line = 1)");
  EXPECT_EQ(tokens_of("{% raw %} a"), "error: a {% raw %} has no {% endraw %} (line = 1)");
  EXPECT_EQ(tokens_of("{{ 'a }}"), "error: a string has no end (line = 1)");
  EXPECT_EQ(tokens_of("{{ 'a\\"), "error: a string has no end (line = 1)");
  EXPECT_EQ(tokens_of("{{ ) }}"), "error: unexpected ')' (line = 1)");
  EXPECT_EQ(tokens_of("{{ (] }}"), "error: unexpected ']', ')' is open (line = 1)");
  EXPECT_EQ(tokens_of("{{ $ }}"), "error: unexpected character '$' (line = 1)");
  EXPECT_EQ(tokens_of("{{ 01 }}"), "error: an int starts with 0 (line = 1)");
  EXPECT_EQ(tokens_of("{{ 0x }}"), "error: a number has a prefix but no digits (line = 1)");
  EXPECT_EQ(tokens_of("{{ '\\x4' }}"), "error: a string has a broken hex escape (line = 1)");
}

TEST(StringLiteralTest, Escapes) {
  EXPECT_EQ(*unescape(R"(\n\t\r\b\f\v\a\\\'\")"), "\n\t\r\b\f\v\a\\'\"");
  EXPECT_EQ(*unescape(R"(\x41\u00e9\U0001f600\101\0)"), std::string("Aé😀A\0", 9));
  EXPECT_EQ(*unescape(R"(\q\d)"), R"(\q\d)");
  EXPECT_EQ(*unescape("a\\\nb"), "ab");
  EXPECT_EQ(*unescape(R"(\777)"), "ǿ");
}

TEST(StringLiteralTest, RefusedEscapes) {
  EXPECT_EQ(unescape(R"(\x4)").error().kind(), ErrorKind::corrupt_data);
  EXPECT_EQ(unescape(R"(\u12g4)").error().kind(), ErrorKind::corrupt_data);
  EXPECT_EQ(unescape(R"(\U00110000)").error().kind(), ErrorKind::corrupt_data);
  EXPECT_EQ(unescape(R"(\ud800)").error().kind(), ErrorKind::unsupported);
  EXPECT_EQ(unescape(R"(\N{DASH})").error().kind(), ErrorKind::unsupported);
  EXPECT_EQ(unescape("\\é").error().kind(), ErrorKind::unsupported);
}

TEST(StringLiteralTest, Newlines) {
  EXPECT_EQ(normalize_newlines("a\r\nb\rc\n\r\r\n"), "a\nb\nc\n\n\n");
}

}  // namespace
}  // namespace braid::text::tmpl

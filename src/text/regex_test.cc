#include "text/regex.h"

#include <gtest/gtest.h>

#include <string>

namespace braid::text {
namespace {

// The matches as strings; "!" and the error's kind if matching fails.
std::vector<std::string> matches(std::string_view pattern, std::string_view text,
                                 const EncodeLimits& limits = {}) {
  const Result<Regex> regex = Regex::compile(pattern);
  if (!regex.ok()) return {"! " + regex.error().to_string()};
  EncodeRun run(limits);
  std::vector<Span> spans;
  const Status status = regex->find_all(text, run, spans);
  if (!status.ok()) return {fmt::format("! {}", name_of(status.error().kind()))};
  std::vector<std::string> found;
  for (const Span& span : spans) found.emplace_back(text.substr(span.begin, span.end - span.begin));
  return found;
}

using Strings = std::vector<std::string>;

TEST(RegexTest, FindsMatchesInOrder) {
  EXPECT_EQ(matches(R"(\p{L}+|\p{N}{1,3})", "ab 1234 é你"), (Strings{"ab", "123", "4", "é你"}));
  EXPECT_EQ(matches(R"(\s+(?!\S)|\s+)", "a   b  "), (Strings{"  ", " ", "  "}));
  EXPECT_EQ(matches("(?i:'LL|'s)", "I'll 'S it'ſ"), (Strings{"'ll", "'S", "'ſ"}));
  EXPECT_EQ(matches("b", ""), Strings{});
}

TEST(RegexTest, LinesBeginAndEndAtNewlines) {
  EXPECT_EQ(matches("^a|a$", "a a\na b\na"), (Strings{"a", "a", "a", "a"}));
  EXPECT_EQ(matches(R"(\s+$)", "x  \n y "), (Strings{"  ", " "}));
  EXPECT_EQ(matches(".", "a\r\n"), (Strings{"a", "\r"}));
}

TEST(RegexTest, CharacterSetsAreThoseOfTheDialect) {
  EXPECT_EQ(matches(R"(\s)", "\u0085\u00a0\u180e\u200b"), (Strings{"\u0085", "\u00a0"}));
  EXPECT_EQ(matches(R"(\p{Han}+)", "你、々〇A"), (Strings{"你", "々〇"}));
  EXPECT_EQ(matches(R"(\w+)", "e\u0301_1½ b"), (Strings{"e\u0301_1½", "b"}));
  EXPECT_EQ(matches(R"([\w]+)", "a½b"), (Strings{"a", "b"}));
  EXPECT_EQ(matches(R"(\v)", "\x0b\n"), Strings{"\x0b"});
}

TEST(RegexTest, EmptyMatchesStandBetweenOthers) {
  const Regex regex = *Regex::compile("a*");
  EncodeRun run;
  std::vector<Span> spans;
  ASSERT_TRUE(regex.find_all("aabé", run, spans).ok());
  EXPECT_EQ(spans, (std::vector<Span>{{0, 2}, {3, 3}, {5, 5}}));
}

// Match starts are tried in windows; a match far behind the first one must still be found.
TEST(RegexTest, FindsMatchesFarApart) {
  for (const size_t distance : {254u, 255u, 256u, 257u, 1000u, 100000u}) {
    std::string text;
    while (text.size() < distance) text += "é";
    text += "x";
    EXPECT_EQ(matches("(?<=é)x", text), Strings{"x"}) << distance;
    EXPECT_EQ(matches("y", text), Strings{}) << distance;
  }
}

TEST(RegexTest, AHostilePatternEndsInAnError) {
  const std::string text = std::string(64, 'a') + "b";
  EXPECT_EQ(matches("(?:a|aa)+$", text, {.regex_steps = 100'000}), Strings{"! exhausted"});
  EXPECT_EQ(matches("a", text, {.time = std::chrono::milliseconds(-1)}), Strings{"! exhausted"});
}

// Each start costs as many steps as there are characters behind it: no start reaches its limit.
TEST(RegexTest, AQuadraticSearchEndsInAnError) {
  const std::string text = std::string(1'000'000, 'a') + "b";
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(matches("[a-z]+c|a+$", text, {.time = std::chrono::milliseconds(1)}),
            Strings{"! exhausted"});
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
}

// Deep backtracking leaves the small stack of compiled patterns for the interpreter's heap.
TEST(RegexTest, LongRunsOfAlternativesMatch) {
  const std::string text(200'000, 'a');
  EXPECT_EQ(matches("(?:a|b)+", text), Strings{text});
}

TEST(RegexTest, RefusesPatternsWithTheReason) {
  const auto broken = Regex::compile("(a");
  ASSERT_FALSE(broken.ok());
  EXPECT_EQ(broken.error().kind(), ErrorKind::corrupt_data);
  EXPECT_NE(broken.error().to_string().find("missing closing parenthesis"), std::string::npos);
  EXPECT_FALSE(Regex::compile(R"(\p{Nonsense})").ok());
  EXPECT_EQ(Regex::compile(R"(\b)").error().kind(), ErrorKind::unsupported);
  EXPECT_EQ(Regex::compile(std::string(20'000, 'a')).error().kind(), ErrorKind::unsupported);
  EXPECT_FALSE(Regex::compile(std::string(300, '(') + std::string(300, ')')).ok());
}

TEST(RegexTest, APatternMayNotNameACharacterThatPcre2DoesNotKnow) {
  const auto refused = Regex::compile("[a\U0001fae9]");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind(), ErrorKind::unsupported);
  EXPECT_NE(refused.error().to_string().find("Unicode 15"), std::string::npos);
  EXPECT_TRUE(Regex::compile("[a\U0001f600]").ok());
}

}  // namespace
}  // namespace braid::text

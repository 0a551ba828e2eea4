#include "text/regex_dialect.h"

#include <gtest/gtest.h>

namespace braid::text {
namespace {

TEST(RegexDialectTest, KeepsWhatMeansTheSame) {
  for (const std::string_view same :
       {"", "abc", R"(\p{L}+|\p{^N}|\P{Lu})", R"([^\r\n\p{L}\p{N}]?\p{L}+)", "(?i:'s|'t)",
        "(?:a|b)*?c++", "(?=a)(?!b)(?<=c)(?<!d)(?>e)(?-i:f)", "a{2}b{2,}c{2,3}d{2,3}?",
        R"(\[\]\-\\\.\ )", "[一-龥]", "^.$", R"(\d\D\n\t\A\z)", "[a&b-]"}) {
    EXPECT_EQ(*to_pcre2_dialect(same), same);
  }
}

TEST(RegexDialectTest, RewritesWhatPcre2SaysInOtherWords) {
  const auto rewritten = [](std::string_view pattern) { return *to_pcre2_dialect(pattern); };
  EXPECT_EQ(rewritten(R"(\s[^\S\s])"), R"(\p{White_Space}[^\P{White_Space}\p{White_Space}])");
  EXPECT_EQ(rewritten(R"(\w)"), R"([\p{Alphabetic}\p{M}\p{Nd}\p{Pc}²³¹¼½¾])");
  EXPECT_EQ(rewritten(R"(\W)"), R"([^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}²³¹¼½¾])");
  EXPECT_EQ(rewritten(R"([\w])"), R"([\p{Alphabetic}\p{M}\p{Nd}\p{Pc}])");
  EXPECT_EQ(rewritten(R"(\p{Han}\P{^Greek})"), R"(\p{sc:Han}\P{^sc:Greek})");
  EXPECT_EQ(rewritten(R"(\v\x41\x{4f60}\u00e9)"), R"(\x0b\x{41}\x{4f60}\x{00e9})");
  EXPECT_EQ(rewritten("a{,3}"), "a{0,3}");
  EXPECT_EQ(rewritten("a{b{,}{"), R"(a\{b\{,}\{)");
  EXPECT_EQ(rewritten("(a)(b)"), "(?:a)(?:b)");
  EXPECT_EQ(rewritten("[]a]"), R"([\]a])");
  EXPECT_EQ(rewritten("(?i)a|b"), "(?i)a|b");
}

TEST(RegexDialectTest, RefusesTheRestByName) {
  const std::pair<std::string_view, std::string_view> kRefused[] = {
      {R"(\b)", R"(\b)"},          {R"(\h)", R"(\h)"},         {R"(a\1)", R"(\1)"},
      {R"(\K)", R"(\K)"},          {R"([\W])", R"(\W)"},       {R"([\A])", R"(\A)"},
      {R"(\pL)", R"(\p)"},         {R"(\p{L&})", R"(\p{L&})"}, {R"(\xe9)", R"(\xe9)"},
      {R"(\x{41)", R"(\x{41)"},    {R"(\u12)", R"(\u12)"},     {"[a[b]]", "[ inside a class"},
      {"[[:alpha:]]", "[ inside"}, {"[a&&b]", "&&"},           {"(?m:a)", "(?m"},
      {"a(?i)b", "(?i"},           {"(?<n>a)", "(?<"},         {"(*FAIL)", "(*F"},
      {"a{2}+", "{2}+"},           {"a{2}?", "{2}?"},          {"(?R)", "(?R"}};
  for (const auto& [pattern, construct] : kRefused) {
    const auto refused = to_pcre2_dialect(pattern);
    ASSERT_FALSE(refused.ok()) << pattern;
    EXPECT_EQ(refused.error().kind(), ErrorKind::unsupported);
    EXPECT_NE(refused.error().to_string().find(fmt::format("construct = {}", construct)),
              std::string::npos)
        << refused.error().to_string();
  }
}

TEST(RegexDialectTest, NamesWhatIsUnfinished) {
  for (const std::string_view pattern : {"a\\", "[a", "[a\\", R"(\p{L)", "[^]"}) {
    const auto unfinished = to_pcre2_dialect(pattern);
    ASSERT_FALSE(unfinished.ok()) << pattern;
    EXPECT_EQ(unfinished.error().kind(), ErrorKind::corrupt_data) << pattern;
  }
}

}  // namespace
}  // namespace braid::text

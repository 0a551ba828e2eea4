#include "text/pattern.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace braid::text {
namespace {

Result<Pattern> parse(const Json& pattern) {
  return Pattern::from_component({{"pattern", pattern}}, "test part");
}

std::vector<Span> find(const Pattern& pattern, std::string_view text) {
  EncodeRun run;
  std::vector<Span> matches = {{7, 7}};  // must be cleared
  EXPECT_TRUE(pattern.find_all(text, run, matches).ok());
  return matches;
}

TEST(PatternTest, AStringIsTakenLiterally) {
  const Pattern pattern = *parse({{"String", ".."}});
  EXPECT_EQ(find(pattern, "a.....b"), (std::vector<Span>{{1, 3}, {3, 5}}));
  EXPECT_EQ(find(pattern, "ab"), std::vector<Span>{});
  ASSERT_NE(pattern.as_literal(), nullptr);
  EXPECT_EQ(*pattern.as_literal(), "..");
}

TEST(PatternTest, ARegexIsMatched) {
  const Pattern pattern = *parse({{"Regex", "b+"}});
  EXPECT_EQ(find(pattern, "abbcb"), (std::vector<Span>{{1, 3}, {4, 5}}));
  EXPECT_EQ(pattern.as_literal(), nullptr);
}

TEST(PatternTest, RefusesWhatIsNoPattern) {
  for (const Json& json : {Json("b+"), Json::object(), Json{{"String", ""}}, Json{{"String", 1}},
                           Json{{"Regex", 1}}, Json{{"Regex", "("}}, Json()}) {
    EXPECT_FALSE(parse(json).ok()) << json;
  }
  EXPECT_FALSE(Pattern::from_component(Json::object(), "test part").ok());
}

}  // namespace
}  // namespace braid::text

#include "text/added_tokens.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace braid::text {
namespace {

Json token(int id, std::string_view content, const std::vector<std::string>& flags = {}) {
  Json json = {{"id", id}, {"content", content}, {"normalized", false}};
  for (const std::string& flag : flags) json[flag] = true;
  return json;
}

Result<AddedTokens> parse(const Json& list, const Normalizer* normalizer = nullptr) {
  EncodeRun run;
  return AddedTokens::from_json(list, *Vocabulary::from_json({{"known", 3}}), normalizer, run);
}

// The segments joined by "|", tokens as "id:text".
std::string joined(const std::vector<Segment>& segments) {
  std::string text;
  for (const Segment& segment : segments) {
    if (!text.empty()) text += '|';
    if (segment.id >= 0) text += fmt::format("{}:", segment.id);
    text += segment.text;
  }
  return text;
}

std::string cut(const Json& list, std::string_view text) {
  const AddedTokens tokens = *parse(list);
  std::vector<Segment> segments;
  tokens.cut_raw(text, segments);
  return joined(segments);
}

TEST(AddedTokensTest, CutsAtTheLongestTokenFromTheLeft) {
  const Json list = {token(1, "<a>"), token(2, "<a><b>"), token(4, "<")};
  EXPECT_EQ(cut(list, "x<a>y"), "x|1:<a>|y");
  EXPECT_EQ(cut(list, "<a><b><a><"), "2:<a><b>|1:<a>|4:<");
  EXPECT_EQ(cut(list, "<a><"), "1:<a>|4:<");
  EXPECT_EQ(cut(list, "none"), "none");
  EXPECT_EQ(cut(list, ""), "");
}

TEST(AddedTokensTest, StripsWhitespaceOnRequest) {
  const Json list = {token(1, "<l>", {"lstrip"}), token(2, "<r>", {"rstrip"}),
                     token(4, "<b>", {"lstrip", "rstrip"}), token(5, "<n>")};
  EXPECT_EQ(cut(list, "a \u3000<l> b"), "a|1: \u3000<l>| b");
  EXPECT_EQ(cut(list, "a <r>\n\tb"), "a |2:<r>\n\t|b");
  EXPECT_EQ(cut(list, "a <b> <b> <n>  "), "a|4: <b> |4:<b> |5:<n>|  ");
  EXPECT_EQ(cut(list, "<r>  <l>"), "2:<r>  |1:<l>");
}

TEST(AddedTokensTest, SingleWordsStandAlone) {
  const Json list = Json::array({token(1, "old", {"single_word"})});
  EXPECT_EQ(cut(list, "old cold older old, über-old"), "1:old| cold older |1:old|, über-|1:old");
  EXPECT_EQ(cut(list, "éold oldé _old old½"), "éold oldé _old |1:old|½");
}

TEST(AddedTokensTest, NormalizedTokensAreSoughtInNormalForm) {
  const auto normalizer =
      *parse_normalizer({{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "▁"}});
  const Json list = {token(1, "a b", {"normalized"}), token(2, "c d")};
  const AddedTokens tokens = *parse(list, normalizer.get());
  std::vector<Segment> segments;
  tokens.cut_raw("a b c d", segments);
  EXPECT_EQ(joined(segments), "a b |2:c d");
  segments.clear();
  tokens.cut_normalized("xa▁b a b c▁d", segments);
  EXPECT_EQ(joined(segments), "x|1:a▁b| a b c▁d");
  EXPECT_EQ(tokens.find(1)->content, "a b");
  EXPECT_EQ(tokens.find(1)->form, "a▁b");
}

TEST(AddedTokensTest, FindsTokens) {
  const AddedTokens tokens = *parse({token(7, "<s>", {"special"}), token(3, "known")});
  EXPECT_TRUE(tokens.find(7)->special);
  EXPECT_FALSE(tokens.find("known")->special);
  EXPECT_EQ(tokens.find(4), nullptr);
  EXPECT_EQ(tokens.find(-1), nullptr);
  EXPECT_EQ(tokens.find("s"), nullptr);
  EXPECT_EQ(tokens.size(), 8);
  EXPECT_EQ(parse(Json())->size(), 0);
}

TEST(AddedTokensTest, AnEmptyTokenMatchesNowhere) {
  EXPECT_EQ(cut(Json::array({token(1, "")}), "abc"), "abc");
}

TEST(AddedTokensTest, OnlyPlainTokensAreNormalizedByDefault) {
  const AddedTokens tokens =
      *parse({{{"id", 1}, {"content", "a"}}, {{"id", 2}, {"content", "b"}, {"special", true}}});
  EXPECT_TRUE(tokens.find(1)->normalized);
  EXPECT_FALSE(tokens.find(2)->normalized);
}

TEST(AddedTokensTest, RefusesContradictions) {
  const Json kRefused[] = {{token(1, "a"), token(1, "b")},  // two tokens for an id
                           {token(1, "a"), token(2, "a")},  // two ids for a token
                           {token(4, "known")},             // another id than the model's
                           {token(3, "other")},             // the id of another token of the model
                           {token(-1, "a")},
                           {{{"id", 1}}},
                           {{{"content", "a"}}},
                           {token(1, "a", {"special"}), Json("b")},
                           {{{"id", 1}, {"content", "a"}, {"lstrip", "yes"}}}};
  for (const Json& list : kRefused) {
    const auto refused = parse(list.is_array() ? list : Json::array({list}));
    ASSERT_FALSE(refused.ok()) << list;
    EXPECT_EQ(refused.error().kind(), ErrorKind::corrupt_data) << list;
  }
  EXPECT_FALSE(parse(Json::object()).ok());
}

// Whitespace tokens that strip must not look at the same whitespace again and again.
TEST(AddedTokensTest, StrippingTokensOfWhitespaceTakeLinearTime) {
  const Json list = {token(1, " ", {"lstrip", "rstrip"}), token(2, "\n", {"lstrip"})};
  EXPECT_EQ(cut(list, "a" + std::string(1 << 20, ' ') + "b").size(), (size_t{1} << 20) + 6);
  std::string lines = "\n";
  for (int i = 0; i < 1 << 18; ++i) lines += "\n";
  EXPECT_GT(cut(list, lines).size(), lines.size());
}

TEST(StringMatcherTest, FindsTheLongestPrefix) {
  StringMatcher matcher;
  matcher.add("ab", 1);
  matcher.add("abcd", 2);
  matcher.add("b", 3);
  matcher.add("ab", 4);  // the first value stays
  size_t bytes = 0;
  EXPECT_EQ(matcher.longest_prefix("abcx", bytes), 1);
  EXPECT_EQ(bytes, 2u);
  EXPECT_EQ(matcher.longest_prefix("abcde", bytes), 2);
  EXPECT_EQ(bytes, 4u);
  EXPECT_EQ(matcher.longest_prefix("ax", bytes), -1);
  EXPECT_EQ(matcher.longest_prefix("", bytes), -1);
}

}  // namespace
}  // namespace braid::text

#include "text/split.h"

#include <gtest/gtest.h>

#include <string>

namespace braid::text {
namespace {

// Cuts `text` at "-" and joins the pieces by "|".
std::string cut(std::string_view text, std::string_view behavior, bool invert = false) {
  std::vector<Span> matches;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '-') matches.push_back({i, i + 1});
  }
  std::vector<Span> pieces;
  append_split(text.size(), matches, *parse_split_behavior(behavior), invert, 0, pieces);
  std::string joined;
  for (const Span& piece : pieces) {
    if (!joined.empty()) joined += '|';
    joined += text.substr(piece.begin, piece.end - piece.begin);
  }
  return joined;
}

TEST(SplitTest, Behaviors) {
  EXPECT_EQ(cut("a-b--c", "Isolated"), "a|-|b|-|-|c");
  EXPECT_EQ(cut("a-b--c", "Removed"), "a|b|c");
  EXPECT_EQ(cut("a-b--c", "MergedWithPrevious"), "a-|b-|-|c");
  EXPECT_EQ(cut("a-b--c", "MergedWithNext"), "a|-b|-|-c");
  EXPECT_EQ(cut("a-b--c", "Contiguous"), "a|-|b|--|c");
}

TEST(SplitTest, BehaviorsInverted) {
  EXPECT_EQ(cut("ab-c--d", "Isolated", true), "ab|-|c|-|-|d");
  EXPECT_EQ(cut("ab-c--d", "Removed", true), "-|-|-");
  EXPECT_EQ(cut("ab-c--d", "MergedWithPrevious", true), "ab|-c|-|-d");
  EXPECT_EQ(cut("ab-c--d", "MergedWithNext", true), "ab-|c-|-|d");
  EXPECT_EQ(cut("ab-c--d", "Contiguous", true), "ab|-|c|--|d");
}

TEST(SplitTest, Ends) {
  EXPECT_EQ(cut("-a-", "Isolated"), "-|a|-");
  EXPECT_EQ(cut("-a-", "MergedWithPrevious"), "-|a-");
  EXPECT_EQ(cut("-a-", "MergedWithNext"), "-a|-");
  EXPECT_EQ(cut("---", "Removed"), "");
  EXPECT_EQ(cut("", "Isolated"), "");
}

TEST(SplitTest, EmptyMatchesCutAndGiveNoPiece) {
  const std::vector<Span> matches = {{1, 1}, {2, 2}};
  std::vector<Span> pieces;
  append_split(2, matches, SplitBehavior::isolated, /*invert=*/false, 10, pieces);
  EXPECT_EQ(pieces, (std::vector<Span>{{10, 11}, {11, 12}}));
}

TEST(SplitTest, RefusesAnotherBehaviorByName) {
  const auto refused = parse_split_behavior("Scattered");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind(), ErrorKind::unsupported);
  EXPECT_NE(refused.error().to_string().find("Scattered"), std::string::npos);
  EXPECT_NE(refused.error().to_string().find("MergedWithNext"), std::string::npos);
}

}  // namespace
}  // namespace braid::text

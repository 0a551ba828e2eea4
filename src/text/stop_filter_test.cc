#include "text/stop_filter.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace braid::text {
namespace {

// What comes out of a filter for these pieces, with '|' between them, and the rest at the end.
std::string filtered(std::vector<std::string> stops, const std::vector<std::string>& pieces) {
  StopFilter filter(std::move(stops));
  std::string out;
  for (const std::string& piece : pieces) out += filter.append(piece) + "|";
  return out + filter.finish();
}

TEST(StopFilterTest, WithoutStopsEverythingPasses) {
  EXPECT_EQ(filtered({}, {"a", "", "bc"}), "a||bc|");
}

TEST(StopFilterTest, CutsBeforeTheStop) {
  StopFilter filter({"END"});
  EXPECT_EQ(filter.append("one END two"), "one ");
  EXPECT_TRUE(filter.stopped());
  EXPECT_EQ(filter.append("more"), "");
  EXPECT_EQ(filter.finish(), "");
}

TEST(StopFilterTest, HoldsBackWhatMayBeginAStop) {
  EXPECT_EQ(filtered({"END"}, {"a E", "N", "D"}), "a |||");
  EXPECT_EQ(filtered({"END"}, {"a E", "N", "E", "x"}), "a ||EN|Ex|");
  EXPECT_EQ(filtered({"END"}, {"a EN"}), "a |EN");
}

TEST(StopFilterTest, HoldsBackTheLongestPossibleBeginning) {
  EXPECT_EQ(filtered({"aab"}, {"aa", "a", "b"}), "|a||");
  EXPECT_EQ(filtered({"abcx", "bcd"}, {"abc", "d"}), "|a|");
}

TEST(StopFilterTest, TheFirstOfSeveralStopsCounts) {
  EXPECT_EQ(filtered({"two", "one"}, {"zero one two"}), "zero |");
}

TEST(StopFilterTest, FindsStopsInHiddenTextAndNeverGivesItOut) {
  StopFilter filter({"<|end|>\nuser"});
  EXPECT_EQ(filter.append("one"), "one");
  EXPECT_EQ(filter.append_hidden("<|other|>"), "");
  EXPECT_EQ(filter.append(" two"), " two");
  EXPECT_EQ(filter.append_hidden("<|end|>"), "");
  EXPECT_EQ(filter.append("\nno"), "\nno");  // what could have begun the stop is text again
  EXPECT_EQ(filter.append_hidden("<|end|>"), "");
  EXPECT_EQ(filter.append("\nuser: three"), "");
  EXPECT_TRUE(filter.stopped());
  EXPECT_EQ(filter.finish(), "");

  StopFilter unfinished({"a<|end|>b"});
  EXPECT_EQ(unfinished.append("xa"), "x");
  EXPECT_EQ(unfinished.append_hidden("<|end|>"), "");
  EXPECT_EQ(unfinished.finish(), "a");
}

TEST(StopFilterDeathTest, AnEmptyStopIsRefused) { EXPECT_DEATH(StopFilter({""}), "stop text"); }

// However a text is cut into pieces, what comes out is the text before its first stop.
TEST(StopFilterTest, PiecesDoNotMatter) {
  std::mt19937_64 random(7);
  const std::vector<std::string> stops = {"aba", "bb", "cabc"};
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (size_t i = 0; i < random() % 20; ++i) text += static_cast<char>('a' + random() % 3);
    size_t first = text.size();
    for (const std::string& stop : stops) first = std::min(first, text.find(stop));
    StopFilter filter(stops);
    std::string out;
    for (size_t at = 0; at < text.size();) {
      const size_t length = 1 + random() % 4;
      out += filter.append(text.substr(at, length));
      at += length;
    }
    EXPECT_EQ(filter.stopped(), first < text.size()) << text;
    EXPECT_EQ(out + filter.finish(), text.substr(0, first)) << text;
  }
}

TEST(StopFilterTest, KeepsTheStopWhereItIsWanted) {
  StopFilter filter({"END", "<|end|>"}, /*keeps_stop=*/true);
  EXPECT_EQ(filter.append("one E"), "one ");
  EXPECT_EQ(filter.append("ND two"), "END");
  EXPECT_TRUE(filter.stopped());
  EXPECT_EQ(filter.finish(), "");

  StopFilter hidden({"<|end|>"}, /*keeps_stop=*/true);
  EXPECT_EQ(hidden.append_hidden("<|end|>"), "<|end|>");
}

}  // namespace
}  // namespace braid::text

#include "text/template/text_ops.h"

#include <gtest/gtest.h>

namespace braid::text::tmpl {
namespace {

using Parts = std::vector<std::string_view>;

TEST(TextOpsTest, Finds) {
  EXPECT_EQ(find_first("abcabc", "bc"), 1u);
  EXPECT_EQ(find_first("abcabc", "bc", 2), 4u);
  EXPECT_EQ(find_first("abc", "x"), std::string_view::npos);
  EXPECT_EQ(find_first("abc", "", 3), 3u);
  EXPECT_EQ(find_first("abc", "", 4), std::string_view::npos);
  EXPECT_EQ(find_last("abcabc", "bc"), 4u);
  EXPECT_EQ(find_last("abc", "x"), std::string_view::npos);
  EXPECT_EQ(find_last("abc", ""), 3u);
  EXPECT_EQ(find_last("日本日", "日"), 6u);
}

TEST(TextOpsTest, SearchesAreLinear) {
  // With a search that starts over at every place these would take 10^11 steps.
  const std::string text(400'000, 'a');
  const std::string part = std::string(200'000, 'a') + "b";
  const std::string mirrored = "b" + std::string(200'000, 'a');
  EXPECT_EQ(find_first(text, part), std::string_view::npos);
  EXPECT_EQ(find_last(text, mirrored), std::string_view::npos);
  EXPECT_EQ(count_occurrences(text, part), 0);
  EXPECT_EQ(split_at(text, mirrored, -1, Side::right).size(), 1u);
}

TEST(TextOpsTest, Counts) {
  EXPECT_EQ(count_occurrences("aaaa", "aa"), 2);
  EXPECT_EQ(count_occurrences("aé", ""), 3);
  EXPECT_EQ(count_occurrences("", ""), 1);
  EXPECT_EQ(count_occurrences("", "a"), 0);
}

TEST(TextOpsTest, Strips) {
  EXPECT_EQ(strip_space(" \n\u3000a b\t\u00a0", Side::both), "a b");
  EXPECT_EQ(strip_space(" a ", Side::left), "a ");
  EXPECT_EQ(strip_space(" a ", Side::right), " a");
  EXPECT_EQ(strip_space(" \n ", Side::both), "");
  EXPECT_EQ(strip_chars("éèaéè", "èé", Side::both), "a");
  EXPECT_EQ(strip_chars("xyx", "", Side::both), "xyx");
  EXPECT_EQ(strip_chars("xyx", "yx", Side::left), "");
}

TEST(TextOpsTest, ReplacesAndForeseesTheSize) {
  struct Case {
    std::string_view text, from, to;
    int64_t limit;
    std::string_view expected;
  };
  const Case cases[] = {
      {"aaa", "a", "bc", -1, "bcbcbc"}, {"aaa", "a", "bc", 2, "bcbca"},
      {"aaa", "a", "", -1, ""},         {"aaa", "a", "b", 0, "aaa"},
      {"aé", "", "-", -1, "-a-é-"},     {"aé", "", "-", 2, "-a-é"},
      {"", "", "x", -1, "x"},           {"", "", "x", 0, ""},
      {"abab", "ab", "x", 9, "xx"},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(replace_all(c.text, c.from, c.to, c.limit), c.expected);
    EXPECT_EQ(replaced_size(c.text, c.from, c.to, c.limit),
              static_cast<int64_t>(c.expected.size()));
  }
}

TEST(TextOpsTest, SplitsAtSpace) {
  EXPECT_EQ(split_space(" a  b\u3000c ", -1, Side::left), (Parts{"a", "b", "c"}));
  EXPECT_EQ(split_space(" a  b c ", 1, Side::left), (Parts{"a", "b c "}));
  EXPECT_EQ(split_space(" a  b c ", 1, Side::right), (Parts{" a  b", "c"}));
  EXPECT_EQ(split_space(" a b ", 0, Side::left), (Parts{"a b "}));
  EXPECT_EQ(split_space("  ", -1, Side::left), Parts());
}

TEST(TextOpsTest, SplitsAtSeparators) {
  EXPECT_EQ(split_at("a,b,,c", ",", -1, Side::left), (Parts{"a", "b", "", "c"}));
  EXPECT_EQ(split_at("a,b,c", ",", 1, Side::left), (Parts{"a", "b,c"}));
  EXPECT_EQ(split_at("a,b,c", ",", 1, Side::right), (Parts{"a,b", "c"}));
  EXPECT_EQ(split_at("aaa", "aa", -1, Side::left), (Parts{"", "a"}));
  EXPECT_EQ(split_at("aaa", "aa", -1, Side::right), (Parts{"a", ""}));
  EXPECT_EQ(split_at("", ",", -1, Side::left), (Parts{""}));
}

TEST(TextOpsTest, SplitsLines) {
  EXPECT_EQ(split_lines("a\nb\r\nc\rd\u2028e\n", false), (Parts{"a", "b", "c", "d", "e"}));
  EXPECT_EQ(split_lines("a\r\nb\n\n", true), (Parts{"a\r\n", "b\n", "\n"}));
  EXPECT_EQ(split_lines("", false), Parts());
  EXPECT_EQ(split_lines("\x1c\x85", false).size(), 2u);
}

}  // namespace
}  // namespace braid::text::tmpl

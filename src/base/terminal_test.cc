#include "base/terminal.h"

#include <gtest/gtest.h>

#include <map>

namespace braid {
namespace {

Environment variables(std::map<std::string, std::string> values) {
  return [values](const std::string& name) -> std::optional<std::string> {
    const auto found = values.find(name);
    return found == values.end() ? std::nullopt : std::optional(found->second);
  };
}

TEST(TerminalTest, WidthOfWhatIsNoTerminal) {
  EXPECT_EQ(terminal_columns(-1, variables({})), 80u);
  EXPECT_EQ(terminal_columns(-1, variables({{"COLUMNS", "57"}})), 57u);
  for (const char* odd : {"", "0", "wide", "-3"}) {
    EXPECT_EQ(terminal_columns(-1, variables({{"COLUMNS", odd}})), 80u) << odd;
  }
}

TEST(TerminalTest, DumbTerminalsMoveNoCursor) {
  EXPECT_TRUE(can_move_cursor(variables({{"TERM", "xterm-256color"}})));
  EXPECT_FALSE(can_move_cursor(variables({{"TERM", "dumb"}})));
  EXPECT_FALSE(can_move_cursor(variables({{"TERM", ""}})));
  EXPECT_FALSE(can_move_cursor(variables({})));
}

TEST(TerminalTest, ColumnsOfText) {
  EXPECT_EQ(columns_of(""), 0u);
  EXPECT_EQ(columns_of("abc"), 3u);
  EXPECT_EQ(columns_of("µs …"), 4u);
  EXPECT_EQ(columns_of("模型"), 4u);
  EXPECT_EQ(columns_of("e\xcc\x81"), 1u);
  EXPECT_EQ(columns_of("\xf0\x9f\x98\x80"), 2u);
  EXPECT_EQ(columns_of("a\xff\xc3"), 3u);  // no UTF-8
}

TEST(TerminalTest, FittedTextEndsInAnEllipsis) {
  EXPECT_EQ(fitted("loading", 7), "loading");
  EXPECT_EQ(fitted("loading", 6), "loadi…");
  EXPECT_EQ(fitted("模型模型", 6), "模型…");
  EXPECT_EQ(fitted("abc", 1), "…");
  EXPECT_EQ(fitted("abc", 0), "");
}

TEST(TerminalTest, WordsAreWrapped) {
  EXPECT_EQ(wrapped("one two three", 80), "one two three");
  EXPECT_EQ(wrapped("one two three", 7), "one two\nthree");
  EXPECT_EQ(wrapped("one two three", 8, 2), "one two\n  three");
  EXPECT_EQ(wrapped("averylongword and", 5), "averylongword\nand");
  EXPECT_EQ(wrapped("", 5), "");
}

}  // namespace
}  // namespace braid

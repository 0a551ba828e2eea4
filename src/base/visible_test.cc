#include "base/visible.h"

#include <gtest/gtest.h>

#include <string>

namespace braid {
namespace {

TEST(VisibleTest, TextStaysAsItIs) {
  const std::string text = "Grüße, 日本 \u200d🙂\u0301\n\tend\u00a0.";
  EXPECT_EQ(visible(text), text);
  EXPECT_EQ(visible(""), "");
}

TEST(VisibleTest, ControlCharactersAreWritten) {
  EXPECT_EQ(visible("\x1b[2J\x1b]0;title\x07"), "\\x1b[2J\\x1b]0;title\\x07");
  EXPECT_EQ(visible("over\rwritten\b"), "over\\x0dwritten\\x08");
  EXPECT_EQ(visible(std::string_view("a\0b\x7f", 4)), "a\\x00b\\x7f");
  EXPECT_EQ(visible("\u009b2J\u0080\u009f"), "\\u009b2J\\u0080\\u009f");
}

TEST(VisibleTest, BytesThatAreNoUtf8HaveNoControlsEither) {
  EXPECT_EQ(visible("\x9b"
                    "2J"),
            "\\x9b2J");
  EXPECT_EQ(visible("\xe9"), "\xe9");
  EXPECT_EQ(visible("\xf0\x9f"), "\xf0\\x9f");      // the beginning of a character
  EXPECT_EQ(visible("\xc2\x1b[m"), "\xc2\\x1b[m");  // which an escape follows
  EXPECT_EQ(visible("\xe2\x82\x1b"), "\xe2\\x82\\x1b");
}

}  // namespace
}  // namespace braid

#include "text/utf8.h"

#include <gtest/gtest.h>

namespace braid::text {
namespace {

TEST(Utf8Test, EveryCharacterSurvivesTheRoundTrip) {
  for (char32_t c = 0; c <= 0x10ffff; ++c) {
    if (c >= 0xd800 && c < 0xe000) continue;
    std::string text;
    append_utf8(text, c);
    size_t at = 0;
    ASSERT_EQ(read_char(text, at), c);
    ASSERT_EQ(at, text.size());
    ASSERT_EQ(char_bytes(text[0]), text.size());
    ASSERT_TRUE(is_valid_utf8(text)) << static_cast<uint32_t>(c);
  }
}

TEST(Utf8Test, RefusesWhatIsNoCharacter) {
  const std::string_view broken[] = {
      "\x80",              // a continuation on its own
      "\xc3",              // cut off
      "\xe4\xbd",          // cut off
      "a\xe4\xbd",         // cut off
      "\xf0\x9f\x98",      // cut off
      "\xc3(",             // no continuation
      "\xc0\x80",          // overlong
      "\xc1\xbf",          // overlong
      "\xe0\x9f\xbf",      // overlong
      "\xf0\x8f\xbf\xbf",  // overlong
      "\xed\xa0\x80",      // a surrogate
      "\xf4\x90\x80\x80",  // beyond Unicode
      "\xf5\x80\x80\x80",  // beyond Unicode
      "\xf8\x88\x80\x80",  // five bytes
      "\xff",
  };
  for (const std::string_view bytes : broken) {
    EXPECT_FALSE(is_valid_utf8(bytes));
    EXPECT_TRUE(is_valid_utf8(to_valid_utf8(bytes)));
  }
  EXPECT_TRUE(is_valid_utf8(""));
}

TEST(Utf8Test, CountsAndFindsCharacters) {
  EXPECT_EQ(count_chars(""), 0);
  EXPECT_EQ(count_chars("aé日😀"), 4);
  EXPECT_EQ(byte_offset("aé日😀", 0), 0u);
  EXPECT_EQ(byte_offset("aé日😀", 2), 3u);
  EXPECT_EQ(byte_offset("aé日😀", 3), 6u);
  EXPECT_EQ(byte_offset("aé日😀", 9), 10u);
}

// The example of the Unicode Standard, table 3-8: U+FFFD substitution of maximal subparts.
TEST(Utf8Test, ReplacesMaximalParts) {
  EXPECT_EQ(to_valid_utf8("\x61\xf1\x80\x80\xe1\x80\xc2\x62\x80\x63\x80\xbf\x64"),
            "a\ufffd\ufffd\ufffdb\ufffdc\ufffd\ufffdd");
  EXPECT_EQ(to_valid_utf8("\xe4\xbd"), "\ufffd");
  EXPECT_EQ(to_valid_utf8("\xed\xa0\x80"), "\ufffd\ufffd\ufffd");
  EXPECT_EQ(to_valid_utf8("whole 你"), "whole 你");
}

TEST(Utf8Test, TellsATruncatedCharacterFromAnInvalidOne) {
  EXPECT_EQ(scan_utf8("\xe4\xbd").kind, Utf8Scan::Kind::truncated);
  EXPECT_EQ(scan_utf8("\xf0\x9f\x99").bytes, 3u);
  EXPECT_EQ(scan_utf8("\xe4z").kind, Utf8Scan::Kind::invalid);
  EXPECT_EQ(scan_utf8("\xe4\xbdz").bytes, 2u);
  EXPECT_EQ(scan_utf8("\xe4\xbd\xa0z").kind, Utf8Scan::Kind::character);
}

}  // namespace
}  // namespace braid::text

#include "text/template/unicode.h"

#include <gtest/gtest.h>

namespace braid::text::tmpl {
namespace {

TEST(UnicodeTest, ValidUtf8) {
  for (const char* text : {"", "abc", "é", "日本", "😀", "\xed\x9f\xbf", "\xee\x80\x80",
                           "\xf4\x8f\xbf\xbf", "\xc2\x80", "\xe0\xa0\x80", "\xf0\x90\x80\x80"}) {
    EXPECT_TRUE(valid_utf8(text)) << text;
  }
}

TEST(UnicodeTest, InvalidUtf8) {
  const char* const broken[] = {
      "\x80",              // a continuation on its own
      "\xc3",              // cut off
      "\xe6\x97",          // cut off
      "\xf0\x9f\x98",      // cut off
      "\xc3(",             // no continuation
      "\xc0\x80",          // overlong
      "\xc1\xbf",          // overlong
      "\xe0\x9f\xbf",      // overlong
      "\xf0\x8f\xbf\xbf",  // overlong
      "\xed\xa0\x80",      // a surrogate
      "\xf4\x90\x80\x80",  // beyond Unicode
      "\xf8\x88\x80\x80",  // five bytes
      "\xff",
  };
  for (const char* text : broken) EXPECT_FALSE(valid_utf8(text));
}

TEST(UnicodeTest, EveryCodePointSurvivesTheRoundTrip) {
  for (char32_t code = 0; code < 0x110000; ++code) {
    if (code >= 0xd800 && code < 0xe000) continue;
    std::string text;
    append_utf8(text, code);
    size_t at = 0;
    ASSERT_EQ(next_code_point(text, at), code);
    ASSERT_EQ(at, text.size());
    ASSERT_EQ(sequence_bytes(text[0]), text.size());
  }
}

TEST(UnicodeTest, CountsAndFindsCodePoints) {
  EXPECT_EQ(count_code_points("aé日😀"), 4);
  EXPECT_EQ(byte_offset("aé日😀", 0), 0u);
  EXPECT_EQ(byte_offset("aé日😀", 2), 3u);
  EXPECT_EQ(byte_offset("aé日😀", 3), 6u);
  EXPECT_EQ(byte_offset("aé日😀", 9), 10u);
}

TEST(UnicodeTest, MapsCase) {
  EXPECT_EQ(to_upper("straße ŉ ﬁ ǆ"), "STRASSE ʼN FI Ǆ");
  EXPECT_EQ(to_lower("ÀÉ Ω İ"), "àé ω i̇");
  EXPECT_EQ(to_title("they're ǆ ﬁne 1st"), "They'Re ǅ Fine 1St");
  EXPECT_EQ(capitalize("éCOLE ÉCOLE"), "École école");
  EXPECT_EQ(to_upper(""), "");
}

TEST(UnicodeTest, TheLastSigmaOfAWordIsFinal) {
  EXPECT_EQ(to_lower("ΟΔΟΣ"), "οδος");
  EXPECT_EQ(to_lower("ΟΔΟΣ ΣΣ"), "οδος σς");
  EXPECT_EQ(to_lower("Σ"), "σ");
  EXPECT_EQ(to_lower("ΑΣ'"), "ας'");    // case-ignorable behind it
  EXPECT_EQ(to_lower("ΑΣ'Α"), "ασ'α");  // and a letter behind that
  EXPECT_EQ(to_lower("Α'Σ"), "α'ς");    // case-ignorable before it
  EXPECT_EQ(capitalize("ΣΑΣ"), "Σας");
}

TEST(UnicodeTest, Classes) {
  EXPECT_TRUE(is_alpha(U'é') && is_alpha(U'日') && !is_alpha(U'1') && !is_alpha(U'_'));
  EXPECT_TRUE(is_decimal(U'٣') && !is_decimal(U'²'));
  EXPECT_TRUE(is_digit(U'²') && !is_digit(U'½'));
  EXPECT_TRUE(is_numeric(U'½') && is_numeric(U'四') && !is_numeric(U'a'));
  EXPECT_TRUE(is_space(U'\u3000') && is_space(U'\x1c') && !is_space(U'\u200b'));
  EXPECT_TRUE(is_printable(U' ') && !is_printable(U'\u00a0') && !is_printable(U'\x7f'));
  EXPECT_TRUE(is_titlecase(U'ǅ') && !is_titlecase(U'D'));
}

TEST(UnicodeTest, AllLowerAndUpper) {
  EXPECT_TRUE(all_lower("abc 1"));
  EXPECT_FALSE(all_lower("aBc"));
  EXPECT_FALSE(all_lower("123"));
  EXPECT_FALSE(all_lower("ǅ"));
  EXPECT_TRUE(all_upper("ÀB-C"));
  EXPECT_FALSE(all_upper(""));
  EXPECT_FALSE(all_upper("ǅ"));
}

}  // namespace
}  // namespace braid::text::tmpl

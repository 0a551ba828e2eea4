#include "text/template/unicode.h"

#include <gtest/gtest.h>

namespace braid::text::tmpl {
namespace {

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

#include "text/unicode.h"

#include <gtest/gtest.h>

namespace braid::text {
namespace {

size_t count(bool (*property)(char32_t)) {
  size_t characters = 0;
  for (char32_t c = 0; c <= 0x10ffff; ++c) characters += property(c);
  return characters;
}

TEST(UnicodeTest, WhiteSpaceIsTheStandardsList) {
  EXPECT_EQ(count(is_white_space), 25u);
  for (const char32_t c : {U' ', U'\t', U'\n', U'\x85', U'\xa0', U'\u2028', U'\u3000'}) {
    EXPECT_TRUE(is_white_space(c));
  }
  for (const char32_t c : {U'a', U'\x1c', U'\u180e', U'\u200b', U'\ufeff'}) {
    EXPECT_FALSE(is_white_space(c));
  }
}

TEST(UnicodeTest, WordCharacters) {
  for (const char32_t c : {U'a', U'9', U'_', U'é', U'\u0301', U'你', U'Ⓐ', U'Ⅷ', U'\u200d',
                           U'\u203f', U'\U0001f170'}) {
    EXPECT_TRUE(is_word(c)) << static_cast<uint32_t>(c);
  }
  for (const char32_t c : {U' ', U'-', U'½', U'€', U'\U0001f642', U'\u200b', U'\U0001f18a'}) {
    EXPECT_FALSE(is_word(c)) << static_cast<uint32_t>(c);
  }
}

TEST(UnicodeTest, NumericCharacters) {
  for (const char32_t c : {U'0', U'٣', U'½', U'Ⅷ', U'²', U'〇'}) EXPECT_TRUE(is_numeric(c));
  for (const char32_t c : {U'a', U'一', U'-', U'.'}) EXPECT_FALSE(is_numeric(c));
}

// "e" + acute, the ligature fi, the Angstrom sign, Hangul jamo: canonical and compatible forms.
TEST(UnicodeTest, NormalForms) {
  const std::string text = "e\u0301 \ufb01 \u212b \u1112\u1161\u11ab";
  EXPECT_EQ(*to_normal_form(text, NormalForm::nfc), "\u00e9 \ufb01 \u00c5 \ud55c");
  EXPECT_EQ(*to_normal_form(text, NormalForm::nfd), "e\u0301 \ufb01 A\u030a \u1112\u1161\u11ab");
  EXPECT_EQ(*to_normal_form(text, NormalForm::nfkc), "\u00e9 fi \u00c5 \ud55c");
  EXPECT_EQ(*to_normal_form(text, NormalForm::nfkd), "e\u0301 fi A\u030a \u1112\u1161\u11ab");
}

TEST(UnicodeTest, NormalFormsOrderMarksAndKeepTheRest) {
  EXPECT_EQ(*to_normal_form("a\u0301\u0323", NormalForm::nfd), "a\u0323\u0301");
  EXPECT_EQ(*to_normal_form(std::string_view("a\0é", 4), NormalForm::nfc), std::string("a\0é", 4));
  EXPECT_EQ(*to_normal_form("", NormalForm::nfc), "");
}

}  // namespace
}  // namespace braid::text

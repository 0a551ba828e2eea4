#include "text/unicode.h"

#include <gtest/gtest.h>

#include "text/utf8.h"

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

TEST(UnicodeTest, Punctuation) {
  for (const char32_t c : {U'!', U'$', U'_', U'~', U'¿', U'«', U'。', U'\u2014', U'\u166d'}) {
    EXPECT_TRUE(is_punctuation(c)) << static_cast<uint32_t>(c);
  }
  for (const char32_t c : {U' ', U'a', U'1', U'\x7f', U'€', U'\u2e52', U'\u00a0', U'\uff0b'}) {
    EXPECT_FALSE(is_punctuation(c)) << static_cast<uint32_t>(c);
  }
}

// All characters: an older one of as many bytes stands for each of the 10302 that PCRE2's tables
// lack or have in another category, and none of these is newer itself.
TEST(UnicodeTest, StandInsAreOlderAndAsLong) {
  size_t newer = 0;
  for (char32_t c = 0; c <= 0x10ffff; ++c) {
    if (c >= 0xd800 && c <= 0xdfff) continue;
    std::string text;
    append_utf8(text, c);
    const std::string older = with_stand_ins(text);
    ASSERT_EQ(find_newer(text), older == text ? std::string::npos : 0) << static_cast<uint32_t>(c);
    newer += older == text ? 0 : 1;
    ASSERT_EQ(older.size(), text.size());
    ASSERT_EQ(find_newer(older), std::string::npos) << static_cast<uint32_t>(c);
  }
  EXPECT_EQ(newer, 10302u);
  EXPECT_EQ(find_newer("aé日\U0001f600"), std::string::npos);
  EXPECT_EQ(find_newer("aé日\U0001f6dc\u0897"), 6u);
  EXPECT_EQ(with_stand_ins("日\U0001f6dc\u0897x"), "日\U0001f6dd\u08d4x");
}

// The reference library's tables are those of Unicode 9.
TEST(UnicodeTest, NormalFormsLeaveCharactersAfterUnicode9Alone) {
  EXPECT_EQ(*to_normal_form("G\u1df7\u030c", NormalForm::nfc), "G\u1df7\u030c");
  EXPECT_EQ(*to_normal_form("e\u0323\u1df7\u0301e\u0301", NormalForm::nfc),
            "\u1eb9\u1df7\u0301\u00e9");
  EXPECT_EQ(*to_normal_form("\U00011935\U00011930", NormalForm::nfc), "\U00011935\U00011930");
  EXPECT_EQ(*to_normal_form("\u32ff", NormalForm::nfkc), "\u32ff");
  EXPECT_EQ(*to_normal_form("\u32fe", NormalForm::nfkc), "\u30f2");
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

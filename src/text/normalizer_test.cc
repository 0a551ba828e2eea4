#include "text/normalizer.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace braid::text {
namespace {

std::string normalize(std::string_view component, std::string text) {
  const auto normalizer = parse_normalizer(Json::parse(component));
  if (!normalizer.ok()) return normalizer.error().to_string();
  EncodeRun run;
  const Status status = (*normalizer)->apply(text, run);
  return status.ok() ? text : status.to_string();
}

TEST(NormalizerTest, NormalForms) {
  EXPECT_EQ(normalize(R"({"type": "NFC"})", "e\u0301"), "\u00e9");
  EXPECT_EQ(normalize(R"({"type": "NFD"})", "\u00e9"), "e\u0301");
  EXPECT_EQ(normalize(R"({"type": "NFKC"})", "\ufb01"), "fi");
  EXPECT_EQ(normalize(R"({"type": "NFKD"})", "\ufb01\u00e9"), "fie\u0301");
}

TEST(NormalizerTest, LowercaseTakesEachCharacterAlone) {
  EXPECT_EQ(normalize(R"({"type": "Lowercase"})", "AÉΣ ΑΣ İẞ1"), "aéσ ασ i\u0307ß1");
  EXPECT_EQ(normalize(R"({"type": "Lowercase"})", "\ua7dc\U00010d51\u1c89"),
            "\u019b\U00010d71\u1c8a");
}

TEST(NormalizerTest, StripRemovesWhiteSpaceAtTheEndsThatItNames) {
  const std::string text = "\u3000\t a b\u00a0\n";
  EXPECT_EQ(normalize(R"({"type": "Strip"})", text), "a b");
  EXPECT_EQ(normalize(R"({"type": "Strip", "strip_left": false})", text), "\u3000\t a b");
  EXPECT_EQ(normalize(R"({"type": "Strip", "strip_right": false})", text), "a b\u00a0\n");
  EXPECT_EQ(normalize(R"({"type": "Strip", "strip_left": false, "strip_right": false})", text),
            text);
  for (const char* blank : {"", " ", " \u2003\n"}) {
    EXPECT_EQ(normalize(R"({"type": "Strip"})", blank), "");
    EXPECT_EQ(normalize(R"({"type": "Strip", "strip_right": false})", blank), "");
    EXPECT_EQ(normalize(R"({"type": "Strip", "strip_left": false})", blank), "");
  }
  EXPECT_EQ(normalize(R"({"type": "Strip"})", "\u200ba\u200b"), "\u200ba\u200b");
}

TEST(NormalizerTest, PrependLeavesTheEmptyTextAlone) {
  EXPECT_EQ(normalize(R"({"type": "Prepend", "prepend": "▁"})", "a"), "▁a");
  EXPECT_EQ(normalize(R"({"type": "Prepend", "prepend": "▁"})", ""), "");
}

TEST(NormalizerTest, ReplacesStringsAndRegexes) {
  EXPECT_EQ(
      normalize(R"({"type": "Replace", "pattern": {"String": " "}, "content": "▁"})", " a b "),
      "▁a▁b▁");
  EXPECT_EQ(normalize(R"({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "$1"})",
                      "a   b c"),
            "a$1b c");
  EXPECT_EQ(normalize(R"({"type": "Replace", "pattern": {"String": "x"}, "content": ""})", "axbx"),
            "ab");
}

TEST(NormalizerTest, SequenceAppliesItsStepsInOrder) {
  EXPECT_EQ(normalize(R"({"type": "Sequence", "normalizers": [
      {"type": "Prepend", "prepend": " "}, null,
      {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]})",
                      "a b"),
            "▁a▁b");
  EXPECT_EQ(normalize(R"({"type": "Sequence", "normalizers": []})", "a"), "a");
}

TEST(NormalizerTest, NullIsNone) { EXPECT_EQ(*parse_normalizer(Json()), nullptr); }

TEST(NormalizerTest, RefusesOthersByName) {
  for (const std::string type : {"Precompiled", "BertNormalizer", "ByteLevel", "StripAccents"}) {
    const auto refused = parse_normalizer({{"type", type}});
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().kind(), ErrorKind::unsupported);
    EXPECT_NE(refused.error().to_string().find("type = " + type), std::string::npos);
    EXPECT_NE(refused.error().to_string().find("NFKD, Lowercase, Strip, Prepend, Replace"),
              std::string::npos);
  }
}

TEST(NormalizerTest, RefusesMissingFields) {
  for (const std::string_view component :
       {R"({"type": "Prepend"})", R"({"type": "Sequence"})", R"("NFC")",
        R"({"type": "Replace", "pattern": {"String": "a"}})",
        R"({"type": "Replace", "content": "a"})",
        R"({"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": 1}]})"}) {
    const auto refused = parse_normalizer(Json::parse(component));
    ASSERT_FALSE(refused.ok()) << component;
    EXPECT_EQ(refused.error().kind(), ErrorKind::corrupt_data) << component;
  }
}

// Ten replacements of one character by a hundred would make 10^20 of it.
TEST(NormalizerTest, AChainOfReplacementsCannotExplode) {
  Json steps = Json::array();
  for (int i = 0; i < 10; ++i) {
    steps.push_back(
        {{"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", std::string(100, 'a')}});
  }
  const auto normalizer = parse_normalizer({{"type", "Sequence"}, {"normalizers", steps}});
  EncodeRun run({.text_bytes = 1 << 20});
  std::string text = "aa";
  const Status status = (*normalizer)->apply(text, run);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind(), ErrorKind::exhausted);
}

}  // namespace
}  // namespace braid::text

#include "text/pre_tokenizer.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace braid::text {
namespace {

// The pieces joined by "|".
std::string cut(std::string_view component, std::string text, bool at_start = true) {
  const auto pre_tokenizer = parse_pre_tokenizer(Json::parse(component));
  if (!pre_tokenizer.ok()) return pre_tokenizer.error().to_string();
  Pieces pieces(std::move(text), at_start);
  EncodeRun run;
  const Status status = (*pre_tokenizer)->apply(pieces, run);
  if (!status.ok()) return status.to_string();
  std::string joined;
  for (const Span& span : pieces.spans) {
    if (!joined.empty()) joined += '|';
    joined += pieces.piece(span);
  }
  return joined;
}

constexpr std::string_view kByteLevel =
    R"({"type": "ByteLevel", "add_prefix_space": false, "use_regex": true})";

TEST(PreTokenizerTest, SplitByRegexAndString) {
  EXPECT_EQ(
      cut(R"({"type": "Split", "pattern": {"Regex": "\\d+"}, "behavior": "Isolated"})", "ab12c"),
      "ab|12|c");
  EXPECT_EQ(cut(R"({"type": "Split", "pattern": {"String": " "}, "behavior": "Removed"})", " a  b"),
            "a|b");
  EXPECT_EQ(cut(R"({"type": "Split", "pattern": {"Regex": "\\w+"}, "behavior": "Removed",
                    "invert": true})",
                "ab, c"),
            "ab|c");
}

TEST(PreTokenizerTest, PunctuationIsSetApart) {
  EXPECT_EQ(cut(R"({"type": "Punctuation"})", "a,b... $5_c¿d«"), "a|,|b|.|.|.| |$|5|_|c|¿|d|«");
  EXPECT_EQ(cut(R"({"type": "Punctuation", "behavior": "Contiguous"})", "a,b...!"), "a|,|b|...!");
  EXPECT_EQ(cut(R"({"type": "Punctuation", "behavior": "Removed"})", "a, b."), "a| b");
  EXPECT_NE(cut(R"({"type": "Punctuation", "behavior": "Joined"})", "a").find("behavior = Joined"),
            std::string::npos);
}

TEST(PreTokenizerTest, NewCharactersAreCutAsTheirOlderKin) {
  const std::string by_kind = R"({"type": "Split", "behavior": "Isolated", "pattern":
      {"Regex": " ?[\\p{P}\\p{S}]+|\\p{N}+|[\\p{L}\\p{M}]+"}})";
  EXPECT_EQ(cut(by_kind, "a \U0001fae9\U0001f600b"), "a| \U0001fae9\U0001f600|b");
  EXPECT_EQ(cut(by_kind, "1\U00010d405\U000323afx\u0ece"), "1\U00010d405|\U000323afx\u0ece");
  EXPECT_EQ(cut(R"({"type": "Split", "behavior": "Removed", "pattern": {"Regex": "\\p{Han}"}})",
                "a\U00031350b\U0002ebf0\u4e00c"),
            "a|b|c");
  EXPECT_EQ(cut(R"({"type": "Digits"})", "a\U00010d41\U00016ff4b"), "a|\U00010d41\U00016ff4|b");
}

TEST(PreTokenizerTest, ByteLevelCutsLikeGpt2) {
  EXPECT_EQ(cut(kByteLevel, "I'll go  2 x!!\n"), "I|'ll|Ġgo|Ġ|Ġ2|Ġx|!!|Ċ");
  EXPECT_EQ(cut(kByteLevel, "é"), "Ã©");
  EXPECT_EQ(cut(kByteLevel, ""), "");
}

TEST(PreTokenizerTest, ByteLevelSettings) {
  EXPECT_EQ(cut(R"({"type": "ByteLevel", "add_prefix_space": true})", "a b"), "Ġa|Ġb");
  EXPECT_EQ(cut(R"({"type": "ByteLevel", "add_prefix_space": true})", " a"), "Ġa");
  EXPECT_EQ(cut(R"({"type": "ByteLevel", "add_prefix_space": false, "use_regex": false})", "a b"),
            "aĠb");
}

TEST(PreTokenizerTest, Digits) {
  EXPECT_EQ(cut(R"({"type": "Digits", "individual_digits": true})", "a12½b"), "a|1|2|½|b");
  EXPECT_EQ(cut(R"({"type": "Digits", "individual_digits": false})", "a12½b"), "a|12½|b");
}

TEST(PreTokenizerTest, Metaspace) {
  const auto with = [](std::string_view settings) {
    return fmt::format(R"({{"type": "Metaspace", "replacement": "▁", {}}})", settings);
  };
  EXPECT_EQ(cut(with(R"("prepend_scheme": "always", "split": true)"), "a  b"), "▁a|▁|▁b");
  EXPECT_EQ(cut(with(R"("prepend_scheme": "always", "split": false)"), " a b"), "▁a▁b");
  EXPECT_EQ(cut(with(R"("prepend_scheme": "never", "split": false)"), "a b"), "a▁b");
  EXPECT_EQ(cut(with(R"("prepend_scheme": "first", "split": false)"), "a b"), "▁a▁b");
  EXPECT_EQ(cut(with(R"("prepend_scheme": "first", "split": false)"), "a b", false), "a▁b");
  EXPECT_EQ(cut(with(R"("add_prefix_space": true)"), "a"), "▁a");
  EXPECT_EQ(cut(with(R"("add_prefix_space": false)"), "a"), "a");
}

// "first" is the first piece of the input, not the first that is left of it.
TEST(PreTokenizerTest, MetaspaceFirstBehindARemovedPiece) {
  constexpr std::string_view kBoth = R"({"type": "Sequence", "pretokenizers": [
      {"type": "Split", "pattern": {"String": "-"}, "behavior": "Removed"}, {"type": "Digits"},
      {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": true}]})";
  EXPECT_EQ(cut(kBoth, "a-b"), "▁a|b");
  EXPECT_EQ(cut(kBoth, "-a"), "a");
}

TEST(PreTokenizerTest, SequenceCutsPiecesFurther) {
  EXPECT_EQ(cut(R"({"type": "Sequence", "pretokenizers": [
      {"type": "Split", "pattern": {"Regex": "\\p{N}{1,3}"}, "behavior": "Isolated"}, null,
      {"type": "Split", "pattern": {"Regex": "^a"}, "behavior": "Isolated"},
      {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]})",
                "ab1234ab "),
            "a|b|123|4|a|bĠ");
}

TEST(PreTokenizerTest, NullIsNone) { EXPECT_EQ(*parse_pre_tokenizer(Json()), nullptr); }

TEST(PreTokenizerTest, RefusesOthersByName) {
  for (const std::string type : {"Whitespace", "BertPreTokenizer", "UnicodeScripts"}) {
    const auto refused = parse_pre_tokenizer({{"type", type}});
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().kind(), ErrorKind::unsupported);
    EXPECT_NE(refused.error().to_string().find("type = " + type), std::string::npos);
    EXPECT_NE(refused.error().to_string().find("Split, ByteLevel, Digits"), std::string::npos);
  }
}

TEST(PreTokenizerTest, RefusesSettingsByName) {
  EXPECT_NE(cut(R"({"type": "Split", "pattern": {"String": "a"}, "behavior": "Odd"})", "")
                .find("behavior = Odd"),
            std::string::npos);
  EXPECT_NE(cut(R"({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "odd"})", "")
                .find("prepend_scheme"),
            std::string::npos);
  EXPECT_NE(cut(R"({"type": "Metaspace", "replacement": "▁▁"})", "").find("one character"),
            std::string::npos);
  EXPECT_NE(cut(R"({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first",
                    "add_prefix_space": false})",
                "")
                .find("only never"),
            std::string::npos);
}

// Each ByteLevel doubles the bytes that are not ASCII.
TEST(PreTokenizerTest, AChainOfRewritesCannotExplode) {
  Json steps = Json::array();
  for (int i = 0; i < 60; ++i) {
    steps.push_back({{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}});
  }
  const auto chain = parse_pre_tokenizer({{"type", "Sequence"}, {"pretokenizers", steps}});
  Pieces pieces("é", true);
  EncodeRun run({.text_bytes = 1 << 20});
  const Status status = (*chain)->apply(pieces, run);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind(), ErrorKind::exhausted);
}

}  // namespace
}  // namespace braid::text

#include "text/decoder.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "text/utf8.h"

namespace braid::text {
namespace {

using Tokens = std::vector<std::string>;

// The text of the tokens; "! " and the error if the decoder is refused.
std::string decode(std::string_view component, const Tokens& tokens) {
  const Result<Decoder> decoder = Decoder::from_json(Json::parse(component));
  if (!decoder.ok()) return "! " + decoder.error().to_string();
  Decoding decoding = decoder->start();
  std::string text;
  for (const std::string& token : tokens) {
    decoding.push(token);
    text += decoding.take();
    EXPECT_TRUE(is_valid_utf8(text));
  }
  decoding.finish();
  return text + decoding.take();
}

constexpr std::string_view kByteLevel = R"({"type": "ByteLevel"})";
constexpr std::string_view kByteFallback = R"({"type": "ByteFallback"})";
constexpr std::string_view kLlama2 = R"({"type": "Sequence", "decoders": [
    {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
    {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]})";

TEST(DecoderTest, NullPutsSpacesBetweenTokens) {
  EXPECT_EQ(decode("null", {"a", "b", "", "c"}), "a b  c");
  EXPECT_EQ(decode("null", {}), "");
}

TEST(DecoderTest, ByteLevelReadsTheAlphabet) {
  EXPECT_EQ(decode(kByteLevel, {"Hello", "Ġwor", "ld", "Ċ"}), "Hello world\n");
  EXPECT_EQ(decode(kByteLevel, {"ä", "½", "ł", "x"}), "你x");
  EXPECT_EQ(decode(kByteLevel, {"<|a b|>", "Ġ"}), "<|a b|> ");  // a space is not of the alphabet
}

TEST(DecoderTest, ByteLevelReplacesWhatIsNoUtf8) {
  EXPECT_EQ(decode(kByteLevel, {"ä", "½", "x"}), "\ufffdx");
  EXPECT_EQ(decode(kByteLevel, {"ä", "½"}), "\ufffd");
  EXPECT_EQ(decode(kByteLevel, {"½", "½"}), "\ufffd\ufffd");
  EXPECT_EQ(decode(kByteLevel, {"ä", "ä", "½", "ł"}), "\ufffd你");
}

TEST(DecoderTest, ByteFallbackJoinsRunsOfBytes) {
  EXPECT_EQ(decode(kByteFallback, {"a", "<0xE4>", "<0xBD>", "<0xA0>", "b"}), "a你b");
  EXPECT_EQ(decode(kByteFallback, {"<0x0A>", "<0x0a>"}), "\n\n");
  EXPECT_EQ(decode(kByteFallback, {"<0x4>", "<0xGG>", "<0x041>", "<0x-1>"}),
            "<0x4><0xGG><0x041><0x-1>");
}

// One byte that fits nowhere spoils its whole run.
TEST(DecoderTest, ByteFallbackGivesUpInvalidRuns) {
  EXPECT_EQ(decode(kByteFallback, {"<0xE4>", "<0xBD>", "<0xA0>", "<0xFF>", "b"}),
            "\ufffd\ufffd\ufffd\ufffdb");
  EXPECT_EQ(decode(kByteFallback, {"<0xE4>"}), "\ufffd");
}

TEST(DecoderTest, LlamaTwosSequence) {
  EXPECT_EQ(decode(kLlama2, {"▁Hello", "▁", "▁you", "<0x0A>", "▁x▁y"}), "Hello  you\n x y");
  EXPECT_EQ(decode(kLlama2, {"▁"}), "");
  EXPECT_EQ(decode(kLlama2, {"", "▁", "▁a"}), " a");
}

TEST(DecoderTest, StripTakesFromEachToken) {
  constexpr std::string_view kStrip = R"({"type": "Strip", "content": "x", "start": 1, "stop": 2})";
  EXPECT_EQ(decode(kStrip, {"xxaxxx", "a", "x", "xx", "axa"}), "xaxaaxa");
}

TEST(DecoderTest, StripBehindFuseTakesFromTheWhole) {
  constexpr std::string_view kStrip = R"({"type": "Sequence", "decoders": [{"type": "Fuse"},
      {"type": "Strip", "content": "é", "start": 2, "stop": 2}]})";
  EXPECT_EQ(decode(kStrip, {"é", "ééa", "é", "ébé", "é", "é"}), "éaéébé");
  EXPECT_EQ(decode(kStrip, {"é", "é", "é"}), "");
  EXPECT_EQ(decode(kStrip, {"a", "é"}), "a");
  EXPECT_EQ(decode(kStrip, {}), "");
}

TEST(DecoderTest, ReplaceWorksOnEachToken) {
  constexpr std::string_view kReplace =
      R"({"type": "Replace", "pattern": {"String": "ab"}, "content": "c"})";
  EXPECT_EQ(decode(kReplace, {"ababx", "a", "b"}), "ccxab");
}

TEST(DecoderTest, MetaspaceDropsTheFirstTokens) {
  EXPECT_EQ(decode(R"({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"})",
                   {"▁a▁b", "▁c"}),
            "ab c");
  EXPECT_EQ(decode(R"({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never"})",
                   {"▁a", "▁c"}),
            " a c");
}

TEST(DecoderTest, RefusesOthersByName) {
  for (const std::string type : {"WordPiece", "CTC", "BPEDecoder", "Byte"}) {
    const auto refused = Decoder::from_json({{"type", type}});
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().kind(), ErrorKind::unsupported);
    EXPECT_NE(refused.error().to_string().find("type = " + type), std::string::npos);
    EXPECT_NE(refused.error().to_string().find("ByteLevel, ByteFallback"), std::string::npos);
  }
}

TEST(DecoderTest, RefusesStepsThatNeedTokensBehindFuse) {
  for (const Json& step :
       {Json{{"type", "ByteFallback"}}, Json{{"type", "ByteLevel"}},
        Json{{"type", "Metaspace"}, {"replacement", "▁"}},
        Json{{"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", ""}}}) {
    for (const std::string fuse : {"Fuse", "ByteLevel"}) {
      const auto refused =
          Decoder::from_json({{"type", "Sequence"}, {"decoders", {{{"type", fuse}}, step}}});
      ASSERT_FALSE(refused.ok()) << step;
      EXPECT_NE(refused.error().to_string().find("order of decoders"), std::string::npos);
    }
  }
}

TEST(DecoderTest, RefusesSettings) {
  for (const std::string_view component :
       {R"({"type": "Replace", "pattern": {"Regex": "a"}, "content": ""})",
        R"({"type": "Replace", "pattern": {"String": "a"}})", R"({"type": "Sequence"})",
        R"({"type": "Strip", "content": "ab", "start": 1, "stop": 0})",
        R"({"type": "Strip", "content": "a", "start": -1, "stop": 0})",
        R"({"type": "Strip", "content": "a", "start": 1})", R"("Fuse")",
        R"({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "odd"})"}) {
    EXPECT_TRUE(decode(component, {}).starts_with("! ")) << component;
  }
}

TEST(DecoderTest, RefusesLongChains) {
  Json steps = Json::array();
  for (int i = 0; i < 64; ++i) steps.push_back({{"type", "ByteFallback"}});
  EXPECT_TRUE(Decoder::from_json({{"type", "Sequence"}, {"decoders", steps}}).ok());
  steps.push_back({{"type", "ByteFallback"}});
  const auto refused = Decoder::from_json({{"type", "Sequence"}, {"decoders", steps}});
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().to_string().find("64 steps"), std::string::npos);
}

TEST(DecoderTest, RefusesReplacementsThatExplode) {
  Json steps = Json::array();
  const Json step = {{"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", "aaaaaaaa"}};
  for (int i = 0; i < 2; ++i) steps.push_back(step);
  EXPECT_TRUE(Decoder::from_json({{"type", "Sequence"}, {"decoders", steps}}).ok());
  steps.push_back(step);
  const auto refused = Decoder::from_json({{"type", "Sequence"}, {"decoders", steps}});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind(), ErrorKind::unsupported);
}

}  // namespace
}  // namespace braid::text

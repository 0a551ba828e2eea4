#include "text/bpe.h"

#include <gtest/gtest.h>

#include <chrono>

#include "base/json.h"

namespace braid::text {
namespace {

using Ids = std::vector<int32_t>;

Json model() {
  return Json::parse(R"({"type": "BPE",
    "vocab": {"a": 0, "b": 1, "c": 2, "d": 3, "e": 4, "ab": 5, "bc": 6, "abc": 7, "aa": 8,
              "<unk>": 9, "<0xC3>": 10, "<0xA9>": 11, "word": 12, "aaaa": 13},
    "merges": [["b", "c"], ["a", "b"], ["a", "bc"], ["a", "a"], ["aa", "aa"]]})");
}

Result<Ids> encode(const Json& json, std::string_view piece) {
  const Result<Bpe> bpe = Bpe::from_json(json);
  if (!bpe.ok()) return bpe.status();
  BpeScratch scratch;
  Ids ids = {99};  // encode appends
  const Status status = bpe->encode(piece, scratch, ids);
  if (!status.ok()) return status;
  return Ids(ids.begin() + 1, ids.end());
}

TEST(BpeTest, MergesTheEarliestLearnedPairFirst) {
  EXPECT_EQ(*encode(model(), "abd"), (Ids{5, 3}));
  EXPECT_EQ(*encode(model(), "abc"), Ids{7});
  EXPECT_EQ(*encode(model(), "bcabc"), (Ids{6, 7}));
  EXPECT_EQ(*encode(model(), ""), Ids{});
}

TEST(BpeTest, MergesFromTheLeft) {
  EXPECT_EQ(*encode(model(), "aaa"), (Ids{8, 0}));
  EXPECT_EQ(*encode(model(), "aaaaaaa"), (Ids{13, 8, 0}));
}

TEST(BpeTest, ReadsBothFormsOfMerges) {
  Json json = model();
  json["merges"] = {"#version: 0.2", "b c", "a b", "a bc", "a a", "aa aa"};
  for (const std::string_view piece : {"abd", "abc", "aaaaaaa", "edcba"}) {
    EXPECT_EQ(*encode(json, piece), *encode(model(), piece));
  }
}

TEST(BpeTest, IgnoreMergesTakesWholeTokens) {
  Json json = model();
  EXPECT_EQ(*encode(json, "word"), Ids{3});  // w, o and r are no tokens and are dropped
  json["ignore_merges"] = true;
  EXPECT_EQ(*encode(json, "word"), Ids{12});
  EXPECT_EQ(*encode(json, "wordd"), (Ids{3, 3}));
}

TEST(BpeTest, UnknownCharactersBecomeTheUnknownToken) {
  Json json = model();
  json["unk_token"] = "<unk>";
  EXPECT_EQ(*encode(json, "axyb"), (Ids{0, 9, 9, 1}));
  json["fuse_unk"] = true;
  EXPECT_EQ(*encode(json, "axybz"), (Ids{0, 9, 1, 9}));
}

TEST(BpeTest, ByteFallbackSpellsUnknownCharacters) {
  Json json = model();
  json["unk_token"] = "<unk>";
  json["byte_fallback"] = true;
  EXPECT_EQ(*encode(json, "aéb"), (Ids{0, 10, 11, 1}));
  EXPECT_EQ(*encode(json, "aêb"), (Ids{0, 9, 1}));  // the vocabulary lacks <0xAA>
  json["unk_token"] = nullptr;
  EXPECT_EQ(*encode(json, "aêb"), Ids{5});
}

TEST(BpeTest, AMissingUnknownTokenMattersOnlyWhenNeeded) {
  Json json = model();
  json["unk_token"] = "<nothing>";
  EXPECT_EQ(*encode(json, "ab"), Ids{5});
  const auto needed = encode(json, "ax");
  ASSERT_FALSE(needed.ok());
  EXPECT_EQ(needed.error().kind(), ErrorKind::corrupt_data);
  EXPECT_NE(needed.error().to_string().find("<nothing>"), std::string::npos);
  json["unk_token"] = "";  // as GPT-2 writes: none
  EXPECT_EQ(*encode(json, "ax"), Ids{0});
}

// A piece without spaces must not take quadratic time: 2^20 letters merge in 2^20 steps or so.
TEST(BpeTest, LongPiecesTakeNearlyLinearTime) {
  const auto begin = std::chrono::steady_clock::now();
  const Ids ids = *encode(model(), std::string(1 << 20, 'a'));
  EXPECT_EQ(ids, Ids(1 << 18, 13));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(30));
}

TEST(BpeTest, RefusesOtherModelsAndSettingsByName) {
  const std::pair<std::string, Json> kRefused[] = {{"type", "Unigram"},
                                                   {"type", "WordPiece"},
                                                   {"dropout", 0.1},
                                                   {"continuing_subword_prefix", "##"},
                                                   {"end_of_word_suffix", "</w>"}};
  for (const auto& [key, value] : kRefused) {
    Json json = model();
    json[key] = value;
    const auto refused = Bpe::from_json(json);
    ASSERT_FALSE(refused.ok()) << key;
    EXPECT_EQ(refused.error().kind(), ErrorKind::unsupported);
    EXPECT_NE(
        refused.error().to_string().find(value.is_string() ? value.get<std::string>() : "0.1"),
        std::string::npos);
  }
  for (const Json& harmless : {Json(), Json(0.0), Json(0)}) {
    Json json = model();
    json["dropout"] = harmless;
    EXPECT_TRUE(Bpe::from_json(json).ok());
  }
}

TEST(BpeTest, RefusesBrokenMerges) {
  const Json merges =
      Json::parse(R"(["a", "a b c", ["a", "b", "c"], ["a", 1], 1, ["a", "x"], ["b", "a"]])");
  for (const Json& merge : merges) {
    Json json = model();
    json["merges"].push_back(merge);
    const auto refused = Bpe::from_json(json);
    ASSERT_FALSE(refused.ok()) << merge;
    EXPECT_EQ(refused.error().kind(), ErrorKind::corrupt_data);
    EXPECT_NE(refused.error().to_string().find("merge = 5"), std::string::npos);
  }
}

TEST(BpeTest, RefusesMissingParts) {
  for (const std::string key : {"vocab", "merges"}) {
    Json json = model();
    json.erase(key);
    EXPECT_FALSE(Bpe::from_json(json).ok()) << key;
  }
  Json json = model();
  json["fuse_unk"] = "yes";
  EXPECT_FALSE(Bpe::from_json(json).ok());
}

TEST(BpeTest, AModelWithMergesNeedsNoType) {
  Json json = {{"vocab", {{"a", 0}, {"b", 1}, {"ab", 2}}}, {"merges", {"a b"}}};
  const auto bpe = Bpe::from_json(json);
  ASSERT_TRUE(bpe.ok()) << bpe.error().to_string();
  std::vector<int32_t> ids;
  BpeScratch scratch;
  ASSERT_TRUE(bpe->encode("abb", scratch, ids).ok());
  EXPECT_EQ(ids, (std::vector<int32_t>{2, 1}));
  json.erase("merges");
  EXPECT_FALSE(Bpe::from_json(json).ok());  // it may be a WordLevel model
}

}  // namespace
}  // namespace braid::text

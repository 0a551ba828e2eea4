#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include <thread>

#include "base/json.h"
#include "base/temp_folder.h"

namespace braid::text {
namespace {

using Ids = std::vector<int32_t>;

// A small byte-level model: single letters, some merges, three added tokens.
Json small() {
  return Json::parse(R"({"version": "1.0", "truncation": {"max_length": 1}, "padding": null,
    "added_tokens": [{"id": 20, "content": "<s>", "special": true},
                     {"id": 21, "content": "</s>", "special": true},
                     {"id": 22, "content": "<t>", "special": false, "normalized": false}],
    "normalizer": null, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
    "post_processor": null, "decoder": {"type": "ByteLevel"},
    "model": {"type": "BPE", "merges": [["a", "b"], ["Ġ", "ab"]],
              "vocab": {"a": 0, "b": 1, "Ġ": 2, "ab": 3, "Ġab": 4, "ï": 5, "¿": 6, "½": 7}}})");
}

Result<Tokenizer> parse(const Json& json, const EncodeLimits& limits = {}) {
  return Tokenizer::from_json(json.dump(), "small.json", limits);
}

TEST(TokenizerTest, EncodesAndDecodes) {
  const Tokenizer tokenizer = *parse(small());
  EXPECT_EQ(*tokenizer.encode("ab ab a", false), (Ids{3, 4, 2, 0}));
  EXPECT_EQ(*tokenizer.encode("", true), Ids{});
  EXPECT_EQ(tokenizer.decode(Ids{3, 4, 2, 0}, false), "ab ab a");
  EXPECT_EQ(tokenizer.decode({}, false), "");
}

TEST(TokenizerTest, RecognisesAddedTokens) {
  const Tokenizer tokenizer = *parse(small());
  EXPECT_EQ(*tokenizer.encode("<s>ab<t> ab</s>", false), (Ids{20, 3, 22, 4, 21}));
  EXPECT_EQ(tokenizer.decode(Ids{20, 3, 22, 21}, false), "<s>ab<t></s>");
  EXPECT_EQ(tokenizer.decode(Ids{20, 3, 22, 21}, true), "ab<t>");
}

TEST(TokenizerTest, KnowsItsTokens) {
  const Tokenizer tokenizer = *parse(small());
  EXPECT_EQ(tokenizer.vocab_size(), 23);
  EXPECT_EQ(tokenizer.token_id("Ġab"), 4);
  EXPECT_EQ(tokenizer.token_id("</s>"), 21);
  EXPECT_EQ(tokenizer.token_id(" ab"), std::nullopt);
  EXPECT_TRUE(tokenizer.is_special(20));
  EXPECT_FALSE(tokenizer.is_special(22));
  EXPECT_FALSE(tokenizer.is_special(0));
  EXPECT_FALSE(tokenizer.is_special(-5));
}

TEST(TokenizerTest, SkipsIdsWithoutToken) {
  EXPECT_EQ(parse(small())->decode(Ids{-1, 3, 8, 19, 23, INT32_MAX, INT32_MIN, 4}, false), "ab ab");
}

TEST(TokenizerTest, ReadsInvalidUtf8AsReplacementCharacters) {
  const Tokenizer tokenizer = *parse(small());
  const Ids replaced = *tokenizer.encode("a\ufffdb", false);
  EXPECT_EQ(replaced, (Ids{0, 5, 6, 7, 1}));
  for (const std::string_view text : {"a\xff"
                                      "b",
                                      "a\xe4\xbd"
                                      "b",
                                      "a\xc0"
                                      "b"}) {
    EXPECT_EQ(*tokenizer.encode(text, false), replaced);
  }
  EXPECT_EQ(tokenizer.decode(replaced, false), "a\ufffdb");
}

TEST(TokenizerTest, ThePostProcessorSurroundsATextOnRequest) {
  Json json = small();
  json["post_processor"] = Json::parse(R"({"type": "TemplateProcessing",
    "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}},
               {"SpecialToken": {"id": "</s>"}}],
    "special_tokens": {"<s>": {"ids": [20]}, "</s>": {"ids": [21]}}})");
  const Tokenizer tokenizer = *parse(json);
  EXPECT_EQ(*tokenizer.encode("ab", true), (Ids{20, 3, 21}));
  EXPECT_EQ(*tokenizer.encode("", true), (Ids{20, 21}));
  EXPECT_EQ(*tokenizer.encode("ab", false), Ids{3});
  json["post_processor"]["special_tokens"]["<s>"]["ids"] = {19};
  const auto refused = parse(json);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().to_string().find("id = 19"), std::string::npos);
}

TEST(TokenizerTest, FollowsTheConfigurationsTokens) {
  Tokenizer tokenizer = *parse(small());
  EXPECT_TRUE(tokenizer.apply({.bos_token = "<s>", .eos_token = "</s>"}).ok());
  EXPECT_EQ(*tokenizer.encode("ab", true), Ids{3});
  TokenizerConfig config{.bos_token = "<s>", .eos_token = "</s>", .add_bos_token = true};
  EXPECT_TRUE(tokenizer.apply(config).ok());
  EXPECT_EQ(*tokenizer.encode("ab", true), (Ids{20, 3}));
  EXPECT_EQ(*tokenizer.encode("ab", false), Ids{3});
  config.add_eos_token = true;
  EXPECT_TRUE(tokenizer.apply(config).ok());
  EXPECT_EQ(*tokenizer.encode("ab", true), (Ids{20, 3, 21}));
  config.add_bos_token = false;
  EXPECT_TRUE(tokenizer.apply(config).ok());
  EXPECT_EQ(*tokenizer.encode("ab", true), (Ids{3, 21}));
}

TEST(TokenizerTest, RefusesAConfigurationOfUnknownTokens) {
  Tokenizer tokenizer = *parse(small());
  for (const TokenizerConfig& config : {TokenizerConfig{.add_bos_token = true},
                                        TokenizerConfig{.eos_token = "?", .add_eos_token = true}}) {
    const Status status = tokenizer.apply(config);
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().kind(), ErrorKind::corrupt_data);
  }
  EXPECT_EQ(*tokenizer.encode("ab", true), Ids{3});
}

TEST(TokenizerTest, RefusesTextsBeyondTheLimit) {
  const Tokenizer tokenizer = *parse(small(), {.text_bytes = 8});
  EXPECT_TRUE(tokenizer.encode("abababab", false).ok());
  const auto refused = tokenizer.encode("ababababa", false);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind(), ErrorKind::exhausted);
}

TEST(TokenizerTest, AHostilePatternEndsInAnError) {
  Json json = small();
  json["pre_tokenizer"] = {
      {"type", "Split"}, {"pattern", {{"Regex", "(?:a|aa)+$"}}}, {"behavior", "Isolated"}};
  const auto refused = parse(json)->encode(std::string(200, 'a') + "b", false);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind(), ErrorKind::exhausted);
}

TEST(TokenizerTest, ErrorsNameTheFileAndTheComponent) {
  const std::pair<std::string, std::string> kComponents[] = {
      {"normalizer", "this normalizer is not supported"},
      {"pre_tokenizer", "this pre-tokenizer is not supported"},
      {"post_processor", "this post-processor is not supported"},
      {"decoder", "this decoder is not supported"},
      {"model", "this model is not supported"}};
  for (const auto& [key, sentence] : kComponents) {
    Json json = small();
    json[key] = {{"type", "Novelty"}};
    const auto refused = parse(json);
    ASSERT_FALSE(refused.ok()) << key;
    EXPECT_EQ(refused.error().kind(), ErrorKind::unsupported);
    const std::string text = refused.error().to_string();
    EXPECT_NE(text.find(sentence), std::string::npos) << text;
    EXPECT_NE(text.find("type = Novelty"), std::string::npos) << text;
    EXPECT_NE(text.find("file = small.json"), std::string::npos) << text;
  }
}

TEST(TokenizerTest, RefusesWhatIsNoTokenizer) {
  for (const std::string_view text : {"", "{", "[]", "{}", "null", R"({"model": null})"}) {
    EXPECT_EQ(Tokenizer::from_json(text, "x").error().kind(), ErrorKind::corrupt_data) << text;
  }
}

TEST(TokenizerTest, LoadsAFolderAndFollowsItsConfiguration) {
  const TempFolder dir;
  dir.write("tokenizer.json", small().dump());
  EXPECT_EQ(*Tokenizer::load(dir.path())->encode("ab", true), Ids{3});
  dir.write("tokenizer_config.json", R"({"bos_token": "<s>", "add_bos_token": true})");
  EXPECT_EQ(*Tokenizer::load(dir.path())->encode("ab", true), (Ids{20, 3}));
}

TEST(TokenizerTest, LoadingNamesTheFileAtFault) {
  const TempFolder dir;
  const auto error = [&] { return Tokenizer::load(dir.path()).status().to_string(); };
  EXPECT_EQ(Tokenizer::load(dir.path()).error().kind(), ErrorKind::not_found);
  EXPECT_NE(error().find("no tokenizer.json (folder = " + dir.path()), std::string::npos)
      << error();
  dir.write("tokenizer.json", "{}");
  EXPECT_NE(error().find(dir.path() + "/tokenizer.json"), std::string::npos) << error();
  dir.write("tokenizer.json", small().dump());
  for (const char* config : {"{", R"({"bos_token": 1})", R"({"add_bos_token": true})"}) {
    dir.write("tokenizer_config.json", config);
    EXPECT_NE(error().find(dir.path() + "/tokenizer_config.json"), std::string::npos) << error();
  }
}

TEST(TokenizerTest, ThreadsShareOneTokenizer) {
  const Tokenizer tokenizer = *Tokenizer::load(BRAID_SOURCE_DIR "/models/fairytale-moe");
  const std::string text =
      "Once upon a time, in 1893,  there lived\n\na <|user|> miller's daughter.";
  const Ids expected = *tokenizer.encode(text, false);
  std::vector<std::thread> threads;
  std::array<int, 4> wrong{};
  for (int& count : wrong) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        count += *tokenizer.encode(text, false) != expected;
        count += tokenizer.decode(expected, false) != text;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, (std::array<int, 4>{}));
}

}  // namespace
}  // namespace braid::text

// Tokenizers of all families against the ids and texts of Hugging Face's tokenizers; the files are
// made by tools/make_tokenizer_fixtures.py.
#include <gtest/gtest.h>

#include <filesystem>

#include "base/json.h"
#include "text/text_stream.h"
#include "text/tokenizer.h"

namespace braid::text {
namespace {

using Ids = std::vector<int32_t>;

constexpr std::string_view kFixtures = BRAID_SOURCE_DIR "/tests/data/tokenizers/";

std::string streamed(const Tokenizer& tokenizer, const Ids& ids, bool skip_special) {
  TextStream stream(tokenizer, skip_special);
  std::string text;
  for (const int32_t id : ids) text += stream.append(id);
  return text + stream.finish();
}

void check_encoding(const Tokenizer& tokenizer, const Json& row) {
  const auto text = row["text"].get<std::string>();
  const auto ids = row["ids"].get<Ids>();
  EXPECT_EQ(*tokenizer.encode(text, false), ids) << text;
  EXPECT_EQ(*tokenizer.encode(text, true), row.value("with_special", ids)) << text;
}

void check_decoding(const Tokenizer& tokenizer, const Ids& ids, const std::string& text,
                    bool skip_special) {
  EXPECT_EQ(tokenizer.decode(ids, skip_special), text);
  EXPECT_EQ(streamed(tokenizer, ids, skip_special), text);
}

class TokenizerFixturesTest : public testing::TestWithParam<std::string> {};

TEST_P(TokenizerFixturesTest, GivesTheReferenceIdsAndTexts) {
  const std::string folder = std::string(kFixtures) + GetParam();
  const auto tokenizer = Tokenizer::load(folder);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().to_string();
  const Json rows = *read_json_file(folder + "/cases.json");
  EXPECT_GE(rows.size(), 40u);
  for (const Json& row : rows) {
    const auto text = row["decoded"].get<std::string>();
    check_decoding(*tokenizer, row["ids"], text, /*skip_special=*/false);
    if (!row.contains("text")) continue;  // ids of no text
    check_encoding(*tokenizer, row);
    check_decoding(*tokenizer, row["ids"], row.value("without_special", text), true);
  }
}

INSTANTIATE_TEST_SUITE_P(Families, TokenizerFixturesTest,
                         testing::Values("added", "deepseek_v2", "deepseek_v3", "falcon", "gpt2",
                                         "llama3", "mistral_v3", "mixtral", "nfd", "qwen2",
                                         "uncased", "unknown"));

TEST(TokenizerFixturesTest, EveryFixtureIsTested) {
  const auto folders = std::filesystem::directory_iterator(kFixtures);
  EXPECT_EQ(std::distance(begin(folders), end(folders)), 12);
}

TEST(TokenizerFixturesTest, TheBundledModelsReference) {
  const std::string folder = BRAID_SOURCE_DIR "/models/fairytale-moe";
  const auto tokenizer = Tokenizer::load(folder);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().to_string();
  EXPECT_EQ(tokenizer->vocab_size(), 4096);
  EXPECT_EQ(tokenizer->token_id("<|endoftext|>"), 4089);
  const Json rows = (*read_json_file(folder + "/reference.json"))["tokenize"];
  EXPECT_GE(rows.size(), 10u);
  for (const Json& row : rows) {
    check_encoding(*tokenizer, row);
    check_decoding(*tokenizer, row["ids"], row["decoded"], /*skip_special=*/false);
  }
}

}  // namespace
}  // namespace braid::text

#include "text/tokenizer_config.h"

#include <gtest/gtest.h>

namespace braid::text {
namespace {

TEST(TokenizerConfigTest, ReadsTheBundledModels) {
  const auto config =
      load_tokenizer_config(BRAID_SOURCE_DIR "/models/fairytale-moe/tokenizer_config.json");
  ASSERT_TRUE(config.ok()) << config.error().to_string();
  EXPECT_EQ(config->eos_token, "<|endoftext|>");
  EXPECT_EQ(config->bos_token, std::nullopt);
  EXPECT_EQ(config->add_bos_token, std::nullopt);
}

TEST(TokenizerConfigTest, ReadsTokensAsStringsAndObjects) {
  const auto config = parse_tokenizer_config(
      R"({"bos_token": {"content": "<s>", "lstrip": false}, "eos_token": "</s>",
          "add_bos_token": true, "add_eos_token": false, "chat_template": 1})",
      "test");
  EXPECT_EQ(config->bos_token, "<s>");
  EXPECT_EQ(config->eos_token, "</s>");
  EXPECT_EQ(config->add_bos_token, true);
  EXPECT_EQ(config->add_eos_token, false);
}

TEST(TokenizerConfigTest, NullIsAbsent) {
  const auto config =
      parse_tokenizer_config(R"({"bos_token": null, "add_bos_token": null})", "test");
  EXPECT_EQ(config->bos_token, std::nullopt);
  EXPECT_EQ(config->add_bos_token, std::nullopt);
}

TEST(TokenizerConfigTest, ErrorsNameTheFileAndTheField) {
  for (const std::string_view field :
       {R"("bos_token": 1)", R"("eos_token": {"text": "x"})", R"("add_bos_token": "yes")"}) {
    const auto refused = parse_tokenizer_config(fmt::format("{{{}}}", field), "the file");
    ASSERT_FALSE(refused.ok()) << field;
    EXPECT_EQ(refused.error().kind(), ErrorKind::corrupt_data) << field;
    EXPECT_NE(refused.error().to_string().find("file = the file"), std::string::npos) << field;
  }
  EXPECT_FALSE(parse_tokenizer_config("[]", "test").ok());
  EXPECT_FALSE(parse_tokenizer_config("{", "test").ok());
  EXPECT_EQ(load_tokenizer_config("/nonexistent.json").error().kind(), ErrorKind::not_found);
}

}  // namespace
}  // namespace braid::text

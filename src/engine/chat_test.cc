#include "engine/chat.h"

#include <gtest/gtest.h>

#include "model/testing.h"

namespace braid::engine {
namespace {

using model::testing::source_path;

const std::vector<ChatMessage> kHello = {{"user", "Hello"}};

TEST(ChatFormatTest, TheBundledModelsReferenceConversations) {
  const std::string folder = source_path("models/fairytale-moe");
  const ChatFormat format = ChatFormat::load(folder).value();
  const Json reference = read_json_file(folder + "/reference.json").value();
  ASSERT_EQ(reference["chat"].size(), 2u);
  for (const Json& chat : reference["chat"]) {
    std::vector<ChatMessage> messages;
    for (const Json& message : chat["messages"]) {
      messages.push_back({message["role"], message["content"]});
    }
    EXPECT_EQ(format.render(messages).value(), chat["rendered"].get<std::string>());
  }
}

TEST(ChatFormatTest, EncodesTheTemplatesTokensWithoutAddingAny) {
  const std::string folder = source_path("models/fairytale-moe");
  const auto tokenizer = text::Tokenizer::load(folder).value();
  const auto ids = ChatFormat::load(folder)->encode(tokenizer, {{"user", "Hi"}}).value();
  EXPECT_EQ(ids, (std::vector<int32_t>{4091, 198, 39, 72, 4092}));
}

TEST(ChatFormatTest, TheSpecialTokensAreVariables) {
  const TempFolder folder;
  folder.write("tokenizer_config.json", R"({"bos_token": "<s>", "eos_token": "</s>"})");
  folder.write("chat_template.jinja",
               "{{ bos_token }}{{ messages[0].role }}: {{ messages[0].content }}{{ eos_token }}");
  EXPECT_EQ(ChatFormat::load(folder.path())->render(kHello).value(), "<s>user: Hello</s>");
}

TEST(ChatFormatTest, AModelWithoutATemplateHasNone) {
  const TempFolder folder;
  const auto format = ChatFormat::load(folder.path());
  ASSERT_FALSE(format.ok());
  EXPECT_EQ(format.error().message(), "the model has no chat template");
}

TEST(ChatFormatTest, WhatTheTemplateRefusesIsAnError) {
  const TempFolder folder;
  folder.write("chat_template.jinja", "{{ raise_exception('no such role') }}");
  const auto text = ChatFormat::load(folder.path())->render(kHello);
  ASSERT_FALSE(text.ok());
  EXPECT_NE(text.status().to_string().find("no such role"), std::string::npos);
}

TEST(ChatEndTest, IsTheSpecialTokenBehindAnAnswer) {
  const std::string model = std::string(BRAID_SOURCE_DIR) + "/models/fairytale-moe";
  const auto tokenizer = text::Tokenizer::load(model).value();
  const auto end_of = [&](std::string_view chat_template) {
    const TempFolder folder;
    folder.write("chat_template.jinja", chat_template);
    return ChatFormat::load(folder.path()).value().end_token(tokenizer);
  };
  const std::string turns = "{% for m in messages %}<|user|>{{ m.content }}";
  EXPECT_EQ(end_of(turns + " <|observation|>\n{% endfor %}"),
            tokenizer.token_id("<|observation|>"));
  EXPECT_EQ(end_of(turns + "\nend{% endfor %}"), std::nullopt);
  EXPECT_EQ(end_of(turns + "{% endfor %}"), std::nullopt);
  EXPECT_EQ(end_of("{{ raise_exception('no') }}"), std::nullopt);
  EXPECT_EQ(ChatFormat::load(model).value().end_token(tokenizer), std::nullopt);
}

}  // namespace
}  // namespace braid::engine

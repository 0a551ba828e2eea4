#include "text/template/chat_template.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "base/temp_folder.h"

namespace braid::text {
namespace {

const std::string kModel = std::string(BRAID_SOURCE_DIR) + "/models/fairytale-moe";

OrderedJson user_says(const std::string& text) {
  return OrderedJson::array({{{"role", "user"}, {"content", text}}});
}

TEST(ChatTemplateTest, RendersTheBundledModelsChatsAsItsReference) {
  const auto chat = load_chat_template(kModel);
  ASSERT_TRUE(chat.ok()) << chat.status().to_string();
  EXPECT_EQ(chat->special_tokens["eos_token"], "<|endoftext|>");
  const auto text = read_file(kModel + "/reference.json");
  ASSERT_TRUE(text.ok());
  const OrderedJson reference = OrderedJson::parse(*text);
  ASSERT_FALSE(reference["chat"].empty());
  for (const OrderedJson& item : reference["chat"]) {
    ChatInput input;
    input.messages = item["messages"];
    const auto rendered = render_chat(*chat, input);
    ASSERT_TRUE(rendered.ok()) << rendered.status().to_string();
    EXPECT_EQ(*rendered, item["rendered"].get<std::string>());
  }
}

TEST(ChatTemplateTest, TheFileGoesBeforeTheConfig) {
  const TempFolder dir;
  dir.write("tokenizer_config.json", R"({"chat_template": "config", "bos_token": "<s>"})");
  EXPECT_EQ(*render_chat(*load_chat_template(dir.path()), {}), "config");
  dir.write("chat_template.jinja", "file {{ bos_token }}\n");
  EXPECT_EQ(*render_chat(*load_chat_template(dir.path()), {}), "file <s>");
}

TEST(ChatTemplateTest, ToolsChooseTheTemplateMadeForThem) {
  const TempFolder dir;
  dir.write("tokenizer_config.json", R"({"chat_template": [
      {"name": "default", "template": "plain"}, {"name": "tool_use", "template": "{{ tools }}"}]})");
  const auto chat = load_chat_template(dir.path());
  ASSERT_TRUE(chat.ok()) << chat.status().to_string();
  ChatInput input;
  EXPECT_EQ(*render_chat(*chat, input), "plain");
  input.tools = OrderedJson::array({1});
  EXPECT_EQ(*render_chat(*chat, input), "[1]");
}

TEST(ChatTemplateTest, SpecialTokensAreTextsOrObjects) {
  const TempFolder dir;
  dir.write("tokenizer_config.json", R"({"bos_token": {"content": "<b>", "lstrip": false},
      "eos_token": "<e>", "pad_token": null,
      "additional_special_tokens": ["<x>", {"content": "<y>"}]})");
  dir.write("chat_template.jinja",
            "{{ bos_token ~ eos_token }} {{ pad_token is defined }} {{ unk_token is defined }} "
            "{{ additional_special_tokens }}");
  const auto chat = load_chat_template(dir.path());
  ASSERT_TRUE(chat.ok()) << chat.status().to_string();
  EXPECT_EQ(*render_chat(*chat, {}), "<b><e> False False ['<x>', '<y>']");
  ChatInput input;
  input.extra = {{"bos_token", "!"}};
  EXPECT_EQ(*render_chat(*chat, input), "!<e> False False ['<x>', '<y>']");
}

TEST(ChatTemplateTest, NoTemplateIsNotFound) {
  const TempFolder dir;
  for (const char* config : {"{}", R"({"chat_template": null})", R"({"chat_template": []})",
                             R"({"chat_template": [{"name": "rag", "template": "r"}]})"}) {
    dir.write("tokenizer_config.json", config);
    const auto chat = load_chat_template(dir.path());
    ASSERT_FALSE(chat.ok());
    EXPECT_EQ(chat.error().kind(), ErrorKind::not_found);
    EXPECT_NE(chat.error().to_string().find(dir.path()), std::string::npos);
    EXPECT_NE(chat.error().remedy().find("braid generate"), std::string::npos);
  }
}

TEST(ChatTemplateTest, BrokenConfigsAreRefused) {
  const TempFolder dir;
  for (const char* config : {"[]", "{", R"({"chat_template": 3})", R"({"chat_template": "{{"})",
                             R"({"unk_token": 3})", R"({"additional_special_tokens": [3]})"}) {
    dir.write("tokenizer_config.json", config);
    const auto chat = load_chat_template(dir.path());
    ASSERT_FALSE(chat.ok()) << config;
    EXPECT_EQ(chat.error().kind(), ErrorKind::corrupt_data) << config;
    EXPECT_NE(chat.error().to_string().find("tokenizer_config.json"), std::string::npos) << config;
  }
  dir.write("tokenizer_config.json", "{}");
  dir.write("chat_template.jinja", "{% if %}");
  const auto chat = load_chat_template(dir.path());
  ASSERT_FALSE(chat.ok());
  EXPECT_NE(chat.error().to_string().find("chat_template.jinja"), std::string::npos);
}

TEST(ChatTemplateTest, GivesTheVariablesThatTemplatesExpect) {
  const auto chat = Template::parse(
      "{{ messages|length }} {{ tools is none }} {{ documents is none }} "
      "{{ add_generation_prompt }} {{ enable_thinking }}",
      "test");
  ASSERT_TRUE(chat.ok());
  ChatInput input;
  input.messages = user_says("hi");
  input.add_generation_prompt = false;
  input.extra = {{"enable_thinking", true}};
  EXPECT_EQ(*render_chat(*chat, input), "1 True True False True");
}

TEST(ChatTemplateTest, RefusesWhatIsNoChat) {
  const auto chat = Template::parse("{{ messages }}", "test");
  ASSERT_TRUE(chat.ok());
  const auto refusal = [&](const ChatInput& input) {
    const auto rendered = render_chat(*chat, input);
    EXPECT_FALSE(rendered.ok());
    EXPECT_EQ(rendered.error().kind(), ErrorKind::usage);
    return rendered.error().to_string();
  };
  ChatInput input;
  input.messages = "hi";
  EXPECT_EQ(refusal(input), "the messages of a chat must be a list (type = string)");
  input.messages = OrderedJson::array({OrderedJson::object(), "hi"});
  EXPECT_EQ(refusal(input), "a message of a chat must be an object (message = 1, type = string)");
  input.messages = OrderedJson::array();
  input.tools = OrderedJson::object();
  EXPECT_EQ(refusal(input), "the tools of a chat must be a list (type = object)");
  input.tools = nullptr;
  input.extra = {{"messages", 1}};
  EXPECT_EQ(refusal(input), "an extra variable of a chat has a reserved name (name = messages)");
  input.extra = 1;
  EXPECT_EQ(refusal(input), "the extra variables of a chat must be an object (type = number)");
}

}  // namespace
}  // namespace braid::text

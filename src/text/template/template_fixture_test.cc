// Compares renderings with jinja2's, byte for byte: tests/data/templates/*.json, which
// tools/make_template_fixtures.py writes.
#include <gtest/gtest.h>

#include <string>

#include "base/json.h"
#include "text/template/chat_template.h"
#include "text/template/template.h"

namespace braid::text {
namespace {

const std::string kFolder = std::string(BRAID_SOURCE_DIR) + "/tests/data/templates/";

OrderedJson read_fixture(const std::string& name) {
  const Result<std::string> text = read_file(kFolder + name);
  EXPECT_TRUE(text.ok()) << text.status().to_string();
  return OrderedJson::parse(*text);
}

// The clock of the fixtures: Friday, 5 July 2024, 14:03:09.
RenderOptions fixture_options() {
  RenderOptions options;
  options.now = [] {
    std::tm now{};
    now.tm_year = 124;
    now.tm_mon = 6;
    now.tm_mday = 5;
    now.tm_hour = 14;
    now.tm_min = 3;
    now.tm_sec = 9;
    now.tm_wday = 5;
    now.tm_yday = 186;
    return now;
  };
  return options;
}

Result<std::string> render(const std::string& source, const OrderedJson& variables, bool& parsed) {
  const Result<Template> parsed_template = Template::parse(source, "fixture");
  parsed = parsed_template.ok();
  if (!parsed) return parsed_template.error();
  return parsed_template->render(variables, fixture_options());
}

// Compares a rendering with what jinja2 made of the same: {"output"} or {"error", "python"}.
void expect_same(const OrderedJson& expected, const Result<std::string>& actual, bool parsed,
                 const std::string& what) {
  if (expected.contains("output")) {
    ASSERT_TRUE(actual.ok()) << what << "\n" << actual.status().to_string();
    ASSERT_EQ(*actual, expected["output"].get<std::string>()) << what;
    return;
  }
  ASSERT_FALSE(actual.ok()) << what << "\nrendered: " << *actual;
  const std::string kind = expected["error"].get<std::string>();
  ASSERT_EQ(parsed, kind != "syntax") << what << "\n" << actual.error().to_string();
  if (kind == "raised") {
    ASSERT_EQ(actual.error().message(), expected["python"].get<std::string>()) << what;
    ASSERT_EQ(actual.error().kind(), ErrorKind::usage) << what;
  }
}

class TemplateFixtureTest : public testing::TestWithParam<const char*> {};

TEST_P(TemplateFixtureTest, RendersAsJinja) {
  const OrderedJson fixture = read_fixture(std::string(GetParam()) + ".json");
  ASSERT_GE(fixture["cases"].size(), 15u);
  for (const OrderedJson& item : fixture["cases"]) {
    const std::string source = item["template"].get<std::string>();
    bool parsed = false;
    const Result<std::string> actual = render(source, fixture["variables"], parsed);
    expect_same(item, actual, parsed, source);
  }
}

INSTANTIATE_TEST_SUITE_P(All, TemplateFixtureTest,
                         testing::Values("expressions", "tests", "methods", "filters", "failures",
                                         "safe", "statements", "unknown", "whitespace"),
                         [](const auto& info) { return std::string(info.param); });

TEST(TemplateFixtureTest, WholeChatTemplatesRenderAsJinja) {
  const OrderedJson fixture = read_fixture("chats.json");
  ASSERT_GE(fixture["cases"].size(), 100u);
  for (const OrderedJson& item : fixture["cases"]) {
    const std::string file = item["file"].get<std::string>();
    const std::string what = file + " " + item["chat"].get<std::string>();
    const Result<std::string> source = read_file(kFolder + file);
    ASSERT_TRUE(source.ok()) << what;
    const Result<Template> chat = Template::parse(*source, file);
    ASSERT_TRUE(chat.ok()) << what << "\n" << chat.status().to_string();

    OrderedJson given = fixture["conversations"][item["chat"].get<std::string>()];
    ChatInput input;
    input.add_generation_prompt = given.value("add_generation_prompt", false);
    input.messages = given["messages"];
    if (given.contains("tools")) input.tools = given["tools"];
    for (const char* name : {"messages", "tools", "add_generation_prompt"}) given.erase(name);
    input.extra = given;
    input.extra["bos_token"] = "<s>";
    input.extra["eos_token"] = "</s>";
    expect_same(item, render_chat(*chat, input, fixture_options()), true, what);
  }
}

}  // namespace
}  // namespace braid::text

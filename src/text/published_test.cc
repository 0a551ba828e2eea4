// Published chat templates and tokenizers against hashes of what jinja2 and tokenizers make of them
// (tests/data/published/). Their texts are not in the repository: tools/make_published_fixtures.py
// collects them into a folder, which the variable BRAID_PUBLISHED names.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <set>

#include "base/json.h"
#include "text/template/chat_template.h"
#include "text/tokenizer.h"

namespace braid::text {
namespace {

const std::string kFixtures = std::string(BRAID_SOURCE_DIR) + "/tests/data/published/";

// FNV-1a of 64 bits, http://www.isthe.com/chongo/tech/comp/fnv.
std::string hash_of(std::string_view text) {
  uint64_t value = 0xcbf29ce484222325;
  for (const char byte : text) value = (value ^ static_cast<uint8_t>(byte)) * 0x100000001b3;
  return fmt::format("{:016x}", value);
}

OrderedJson read_fixture(const std::string& name) {
  const Result<std::string> text = read_file(kFixtures + name);
  EXPECT_TRUE(text.ok()) << text.status().to_string();
  return OrderedJson::parse(*text);
}

// The folder with the texts; empty when there is none.
std::string texts_folder() {
  const char* folder = std::getenv("BRAID_PUBLISHED");
  return folder == nullptr ? std::string() : folder;
}

// The clock of the fixtures: Friday, 5 July 2024, 14:03:09.
RenderOptions fixture_options() {
  RenderOptions options;
  options.now = [] {
    return std::tm{.tm_sec = 9,
                   .tm_min = 3,
                   .tm_hour = 14,
                   .tm_mday = 5,
                   .tm_mon = 6,
                   .tm_year = 124,
                   .tm_wday = 5,
                   .tm_yday = 186,
                   .tm_isdst = 0,
                   .tm_gmtoff = 0,
                   .tm_zone = nullptr};
  };
  return options;
}

OrderedJson with_defaults(const OrderedJson& chat) {
  OrderedJson variables = OrderedJson::parse(
      R"({"messages": [], "tools": null, "documents": null, "add_generation_prompt": false,
          "bos_token": "<s>", "eos_token": "</s>"})");
  variables.update(chat);
  return variables;
}

// What braid refuses by name though the reference takes it: part of the error's text.
bool is_refused(const Error& error, std::string_view what) {
  return error.kind() == ErrorKind::unsupported &&
         error.to_string().find(what) != std::string::npos;
}
constexpr std::string_view kRefusedInTemplates = "the format field '{i:d}' is not supported";
constexpr std::string_view kRefusedTokenizer = "type = Unigram, supported = BPE";

TEST(Published, TheListsNameHundredTemplatesAndTwentyTokenizers) {
  const OrderedJson sources = read_fixture("sources.json");
  for (const auto& [kind, fixture, count] :
       {std::tuple("templates", "templates.json", 100u), {"tokenizers", "tokenizers.json", 20u}}) {
    std::set<std::string> listed;
    for (const OrderedJson& source : sources[kind]) listed.insert(source["sha256"]);
    EXPECT_GE(listed.size(), count) << kind;
    EXPECT_EQ(listed.size(), sources[kind].size()) << kind << " are listed twice";
    std::set<std::string> measured;
    const OrderedJson measures = read_fixture(fixture);
    for (const OrderedJson& item : measures[kind]) measured.insert(item["sha256"]);
    EXPECT_EQ(measured, listed) << kind;
  }
}

TEST(Published, TemplatesRenderAsJinja) {
  const std::string folder = texts_folder();
  if (folder.empty()) GTEST_SKIP() << "BRAID_PUBLISHED names no folder with published templates";
  const OrderedJson fixture = read_fixture("templates.json");
  int same = 0;
  int refused = 0;
  for (const OrderedJson& item : fixture["templates"]) {
    const auto sha = item["sha256"].get<std::string>();
    const Result<std::string> source = read_file(folder + "/templates/" + sha);
    ASSERT_TRUE(source.ok()) << source.status().to_string();
    const Result<Template> chat = Template::parse(*source, sha.substr(0, 12));
    size_t index = 0;
    for (const auto& [name, conversation] : fixture["conversations"].items()) {
      const auto expected = item["renderings"][index++].get<std::string>();
      const Result<std::string> text =
          chat.ok() ? chat->render(with_defaults(conversation), fixture_options())
                    : Result<std::string>(chat.error());
      if (!text.ok() && expected != "error" && is_refused(text.error(), kRefusedInTemplates)) {
        ++refused;
        continue;
      }
      ++same;
      EXPECT_EQ(text.ok() ? hash_of(*text) : "error", expected)
          << sha << " " << name << "\n"
          << (text.ok() ? *text : text.error().to_string());
    }
  }
  EXPECT_EQ(same, 6603);
  EXPECT_EQ(refused, 1);
}

TEST(Published, TokenizersGiveTheLibrarysIds) {
  const std::string folder = texts_folder();
  if (folder.empty()) GTEST_SKIP() << "BRAID_PUBLISHED names no folder with published tokenizers";
  const OrderedJson fixture = read_fixture("tokenizers.json");
  int refused = 0;
  for (const OrderedJson& item : fixture["tokenizers"]) {
    const auto sha = item["sha256"].get<std::string>();
    const Result<Tokenizer> tokenizer = Tokenizer::load(folder + "/tokenizers/" + sha);
    if (!tokenizer.ok()) {
      EXPECT_TRUE(is_refused(tokenizer.error(), kRefusedTokenizer))
          << sha << "\n"
          << tokenizer.error().to_string();
      ++refused;
      continue;
    }
    for (size_t i = 0; i < fixture["texts"].size(); ++i) {
      const auto text = fixture["texts"][i].get<std::string>();
      const auto ids = tokenizer->encode(text, /*add_special_tokens=*/false);
      ASSERT_TRUE(ids.ok()) << sha << " " << text << "\n" << ids.status().to_string();
      EXPECT_EQ(hash_of(fmt::format("{}", fmt::join(*ids, ","))), item["ids"][i])
          << sha << " " << OrderedJson(text).dump(-1, ' ', true) << "\n"
          << fmt::format("{}", fmt::join(*ids, ","));
      EXPECT_EQ(hash_of(tokenizer->decode(*ids, /*skip_special=*/false)), item["decoded"][i])
          << sha << " " << text;
    }
  }
  EXPECT_EQ(refused, 1);
}

}  // namespace
}  // namespace braid::text

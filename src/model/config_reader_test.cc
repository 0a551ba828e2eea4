#include "model/config_reader.h"

#include "model/testing.h"

namespace braid::model {
namespace {

using testing::text_of;

const Json& sample() {
  static const Json json = Json::parse(R"({
    "count": 7, "minus": -1, "half": 0.5, "yes": true, "word": "silu", "nothing": null,
    "huge": 18446744073709551615, "list": [1, 2, 3], "mixed": [1, "a"], "words": ["a", "b"],
    "inner": {"depth": 2}})");
  return json;
}

const ConfigReader kReader(sample(), "config.json");

std::string about(std::string_view message, std::string_view key, std::string_view value) {
  return fmt::format(
      "{0} (key = {1}, value = {2}, in = config.json). Correct config.json, or pass "
      "--json-model-override-args '{{\"{1}\": ...}}'.",
      message, key, value);
}

TEST(ConfigReaderTest, ReadsWhatIsThere) {
  EXPECT_EQ(*kReader.integer("count", {0, 7}), 7);
  EXPECT_EQ(*kReader.real("count", {0, 10}), 7.0);
  EXPECT_EQ(*kReader.real("half", {0, 1}), 0.5);
  EXPECT_EQ(*kReader.boolean("yes"), true);
  EXPECT_EQ(*kReader.text("word"), "silu");
  EXPECT_EQ(*kReader.integers("list", {1, 3}), (std::vector<int64_t>{1, 2, 3}));
  EXPECT_EQ(*kReader.integers("count", {1, 7}), std::vector<int64_t>{7});
  EXPECT_EQ(*kReader.texts("words"), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(*kReader.texts("word"), std::vector<std::string>{"silu"});
  EXPECT_EQ(*(*kReader.object("inner"))->integer("depth", {0, 9}), 2);
}

TEST(ConfigReaderTest, NullIsAbsent) {
  EXPECT_FALSE(kReader.has("nothing"));
  EXPECT_EQ(*kReader.integer_or("nothing", {0, 1}, 5), 5);
  EXPECT_EQ(*kReader.real_or("nothing", {0, 1}, 0.25), 0.25);
  EXPECT_EQ(*kReader.boolean_or("nothing", true), true);
  EXPECT_EQ(*kReader.text_or("absent", "x"), "x");
  EXPECT_TRUE(kReader.integers("nothing", {0, 1})->empty());
  EXPECT_TRUE(kReader.texts("nothing")->empty());
  EXPECT_FALSE(kReader.object("nothing")->has_value());
  EXPECT_EQ(text_of(kReader.integer("nothing", {0, 1})),
            about("a key is missing", "nothing", "absent"));
  EXPECT_FALSE(kReader.real("absent", {0, 1}).ok());
  EXPECT_FALSE(kReader.boolean("absent").ok());
  EXPECT_FALSE(kReader.text("absent").ok());
}

TEST(ConfigReaderTest, RefusesOtherTypes) {
  EXPECT_EQ(text_of(kReader.integer("half", {0, 1})),
            about("an integer was expected", "half", "0.5"));
  EXPECT_EQ(text_of(kReader.integer_or("word", {0, 1}, 0)),
            about("an integer was expected", "word", "\"silu\""));
  EXPECT_EQ(text_of(kReader.real("yes", {0, 1})), about("a number was expected", "yes", "true"));
  EXPECT_EQ(text_of(kReader.boolean("count")), about("true or false was expected", "count", "7"));
  EXPECT_EQ(text_of(kReader.text("count")), about("a string was expected", "count", "7"));
  EXPECT_EQ(text_of(kReader.texts("mixed")),
            about("a list of strings was expected", "mixed", "[1,\"a\"]"));
  EXPECT_EQ(text_of(kReader.object("list")), about("an object was expected", "list", "[1,2,3]"));
  EXPECT_FALSE(kReader.integers("mixed", {0, 9}).ok());
}

TEST(ConfigReaderTest, RefusesNumbersOutOfRange) {
  EXPECT_EQ(text_of(kReader.integer("minus", {0, 4})),
            about("an integer from 0 to 4 was expected", "minus", "-1"));
  EXPECT_EQ(text_of(kReader.integer("huge", {0, 4})),
            about("an integer from 0 to 4 was expected", "huge", "18446744073709551615"));
  EXPECT_EQ(text_of(kReader.real("half", {1, 2.5})),
            about("a number from 1 to 2.5 was expected", "half", "0.5"));
  EXPECT_FALSE(kReader.integers("list", {1, 2}).ok());
}

TEST(ConfigReaderTest, ShortensLongValues) {
  const Json json = {{"long", std::string(500, 'x')}, {"list", Json::array()}};
  Json many = json;
  for (int i = 0; i < 100; ++i) many["list"].push_back(i);
  const ConfigReader reader(many, "config.json");
  EXPECT_LT(text_of(reader.integer("long", {0, 1})).size(), 300u);
  EXPECT_NE(text_of(reader.integer("list", {0, 1})).find("a long list"), std::string::npos);
}

TEST(ConfigReaderTest, NamesTheNestedObject) {
  const auto inner = *kReader.object("inner");
  EXPECT_EQ(text_of(inner->text("depth")),
            "a string was expected (key = depth, value = 2, in = inner of config.json). "
            "Correct inner of config.json.");
}

}  // namespace
}  // namespace braid::model

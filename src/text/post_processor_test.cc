#include "text/post_processor.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace braid::text {
namespace {

using Ids = std::vector<int32_t>;

constexpr std::string_view kTemplate = R"({"type": "TemplateProcessing",
  "single": [{"SpecialToken": {"id": "[gMASK]", "type_id": 0}}, {"SpecialToken": {"id": "<s>"}},
             {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>"}}],
  "pair": [{"Sequence": {"id": "A"}}, {"Sequence": {"id": "B"}}],
  "special_tokens": {"[gMASK]": {"id": "[gMASK]", "ids": [7, 8]}, "<s>": {"id": "<s>", "ids": [1]},
                     "</s>": {"id": "</s>", "ids": [2]}}})";

TEST(PostProcessorTest, TemplateGivesTheIdsAroundAText) {
  const PostProcessor processor = *parse_post_processor(Json::parse(kTemplate));
  EXPECT_EQ(processor.before, (Ids{7, 8, 1}));
  EXPECT_EQ(processor.behind, Ids{2});
}

TEST(PostProcessorTest, NullAndByteLevelAddNothing) {
  for (const Json& json : {Json(), Json{{"type", "ByteLevel"}, {"trim_offsets", true}},
                           Json{{"type", "Sequence"}, {"processors", Json::array()}}}) {
    const PostProcessor processor = *parse_post_processor(json);
    EXPECT_TRUE(processor.before.empty());
    EXPECT_TRUE(processor.behind.empty());
  }
}

TEST(PostProcessorTest, SequenceMayHoldOneTemplate) {
  const Json one = {{"type", "Sequence"},
                    {"processors", {{{"type", "ByteLevel"}}, Json::parse(kTemplate)}}};
  EXPECT_EQ(parse_post_processor(one)->before, (Ids{7, 8, 1}));
  const Json two = {{"type", "Sequence"},
                    {"processors", {Json::parse(kTemplate), Json::parse(kTemplate)}}};
  const auto refused = parse_post_processor(two);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().to_string().find("several TemplateProcessing"), std::string::npos);
}

TEST(PostProcessorTest, RefusesOthersByName) {
  for (const std::string type : {"BertProcessing", "RobertaProcessing"}) {
    const auto refused = parse_post_processor({{"type", type}});
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().kind(), ErrorKind::unsupported);
    EXPECT_NE(refused.error().to_string().find("type = " + type), std::string::npos);
    EXPECT_NE(refused.error().to_string().find("TemplateProcessing, Sequence"), std::string::npos);
  }
}

TEST(PostProcessorTest, RefusesBrokenTemplates) {
  const auto broken = [](auto change) {
    Json json = Json::parse(kTemplate);
    change(json);
    const auto refused = parse_post_processor(json);
    return refused.ok() ? "accepted" : refused.error().to_string();
  };
  const auto contains = [](const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
  };
  EXPECT_TRUE(contains(broken([](Json& j) { j["special_tokens"].erase("<s>"); }), "lacks '<s>'"));
  EXPECT_TRUE(contains(broken([](Json& j) { j["special_tokens"] = 1; }), "lacks"));
  EXPECT_TRUE(contains(broken([](Json& j) { j["special_tokens"]["<s>"]["ids"] = {-1}; }), "range"));
  EXPECT_TRUE(
      contains(broken([](Json& j) { j["special_tokens"]["<s>"]["ids"] = {1u << 31}; }), "range"));
  EXPECT_TRUE(contains(broken([](Json& j) { j["single"].erase(2); }), "missing"));
  EXPECT_TRUE(contains(broken([](Json& j) { j["single"].push_back(j["single"][2]); }), "twice"));
  EXPECT_TRUE(contains(broken([](Json& j) { j["single"][2]["Sequence"]["id"] = "B"; }), "neither"));
  EXPECT_TRUE(contains(broken([](Json& j) { j["single"][0] = "x"; }), "neither"));
  EXPECT_TRUE(contains(broken([](Json& j) { j.erase("single"); }), "single"));
}

}  // namespace
}  // namespace braid::text

#include "text/component.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace braid::text {
namespace {

constexpr Role kRole = "test part";

std::string message(const auto& result) { return result.error().to_string(); }

TEST(ComponentTest, ReadsFields) {
  const Json json = {{"type", "T"},     {"yes", true},    {"text", "t"}, {"five", 5},
                     {"none", nullptr}, {"list", {1, 2}}, {"sign", "▁"}};
  EXPECT_EQ(*component_type(json, kRole), "T");
  EXPECT_TRUE(*bool_field(json, kRole, "yes", false));
  EXPECT_TRUE(*bool_field(json, kRole, "missing", true));
  EXPECT_FALSE(*bool_field(json, kRole, "none", false));
  EXPECT_EQ(*string_field(json, kRole, "text"), "t");
  EXPECT_EQ(*integer_field(json, kRole, "five", 5, 5), 5);
  EXPECT_EQ(array_field(json, kRole, "list")->size(), 2u);
  EXPECT_EQ(*char_field(json, kRole, "sign"), "▁");
}

TEST(ComponentTest, NamesFieldValueAndExpectation) {
  const Json json = {{"yes", 1}, {"text", 7}, {"chars", "ab"}, {"list", "x"}};
  EXPECT_EQ(
      message(bool_field(json, kRole, "yes", false)),
      "a field of the test part is not as expected (field = yes, value = 1, expected = true or "
      "false)");
  EXPECT_NE(message(string_field(json, kRole, "text")).find("value = 7"), std::string::npos);
  EXPECT_NE(message(string_field(json, kRole, "missing")).find("absent"), std::string::npos);
  EXPECT_FALSE(char_field(json, kRole, "chars").ok());
  EXPECT_FALSE(char_field({{"chars", ""}}, kRole, "chars").ok());
  EXPECT_FALSE(array_field(json, kRole, "list").ok());
}

TEST(ComponentTest, IntegersStayInRange) {
  for (const Json& value : {Json(-1), Json(10), Json(1.5), Json("1"), Json(UINT64_MAX), Json()}) {
    EXPECT_FALSE(integer_field({{"n", value}}, kRole, "n", 0, 9).ok()) << value;
  }
  EXPECT_EQ(*integer_field({{"n", 0}}, kRole, "n", 0, 9), 0);
}

TEST(ComponentTest, TypeMustBeThere) {
  EXPECT_FALSE(component_type(Json::array(), kRole).ok());
  EXPECT_FALSE(component_type(Json::object(), kRole).ok());
  EXPECT_FALSE(component_type({{"type", 3}}, kRole).ok());
}

TEST(ComponentTest, RefusalsNameWhatIsSupported) {
  EXPECT_EQ(unsupported_type(kRole, "X", "A, B").to_string(),
            "this test part is not supported (type = X, supported = A, B)");
  const Error error = unsupported_field(kRole, "mode", Json("m"), "n");
  EXPECT_EQ(error.kind(), ErrorKind::unsupported);
  EXPECT_NE(error.to_string().find("field = mode"), std::string::npos);
}

TEST(ComponentTest, LongValuesAreCutBetweenCharacters) {
  const Json json = {{"flag", std::string(79, 'x') + "éééé"}};
  const std::string text = message(bool_field(json, kRole, "flag", false));
  EXPECT_NE(text.find("x…"), std::string::npos) << text;
  EXPECT_LT(text.size(), 200u);
  EXPECT_NE(message(bool_field({{"flag", Json::array({1})}}, kRole, "flag", false)).find("array"),
            std::string::npos);
}

}  // namespace
}  // namespace braid::text

#include "base/json.h"

#include <gtest/gtest.h>

namespace braid {
namespace {

TEST(JsonTest, ParsesAndNamesTheSourceOfErrors) {
  EXPECT_EQ((*parse_json(R"({"a": [1, 2]})", "text"))["a"][1], 2);
  const auto bad = parse_json("{\"a\": ", "config.json");
  ASSERT_FALSE(bad.ok());
  EXPECT_NE(bad.error().to_string().find("config.json"), std::string::npos);
}

TEST(JsonTest, RefusesDeepNesting) {
  const auto deep = parse_json(std::string(300, '[') + std::string(300, ']'), "deep");
  ASSERT_FALSE(deep.ok());
  EXPECT_EQ(deep.error().message(), "JSON is nested too deeply");
  EXPECT_TRUE(parse_json(std::string(200, '[') + std::string(200, ']'), "ok").ok());
}

TEST(JsonTest, MissingFileSaysWhy) {
  const auto missing = read_json_file("/nonexistent/config.json");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().kind(), ErrorKind::not_found);
  EXPECT_NE(missing.error().to_string().find("/nonexistent/config.json"), std::string::npos);
  EXPECT_FALSE(read_file("/tmp").ok());
}

}  // namespace
}  // namespace braid

#include "base/json_checks.h"

#include <gtest/gtest.h>

namespace braid {
namespace {

using Paths = std::vector<std::string>;

TEST(JsonChecksTest, FindsDuplicateKeys) {
  EXPECT_EQ(duplicate_keys(R"({"a": 1, "b": 2, "a": 3, "a": 4})"), Paths{"a"});
  EXPECT_EQ(duplicate_keys(R"({"a": {"x": 1}, "b": {"x": 1, "y": {"z": 1, "z": 2}}})"),
            Paths{"b.y.z"});
  EXPECT_EQ(duplicate_keys(R"({"l": [{"x": 1}, {"x": 1}, {"x": 1, "x": 2}], "l": 0})"),
            (Paths{"l.x", "l"}));
}

TEST(JsonChecksTest, FindsNothingElsewhere) {
  EXPECT_EQ(duplicate_keys(R"({"a": {"a": {"a": 1}}, "b": [{"a": 1}, {"a": 2}]})"), Paths{});
  EXPECT_EQ(duplicate_keys(R"({"a": 1, "a": 2)"), Paths{});  // no JSON
  EXPECT_EQ(duplicate_keys("[1, 1]"), Paths{});
}

}  // namespace
}  // namespace braid

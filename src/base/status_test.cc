#include "base/status.h"

#include <gtest/gtest.h>

namespace braid {
namespace {

Result<int> parse_positive(int value) {
  if (value <= 0) {
    return Error(ErrorKind::usage, "the count must be positive")
        .with("count", value)
        .remedy("Pass a count of at least 1.");
  }
  return value;
}

Result<int> doubled(int value) {
  const int positive = TRY(parse_positive(value));
  return 2 * positive;
}

Status only_checked(int value) {
  TRY(parse_positive(value));
  return {};
}

TEST(StatusTest, CarriesValuesAndRemedy) {
  const Result<int> result = doubled(-3);
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().kind(), ErrorKind::usage);
  EXPECT_EQ(result.error().to_string(),
            "the count must be positive (count = -3). Pass a count of at least 1.");
}

TEST(StatusTest, TryYieldsTheValue) {
  EXPECT_EQ(*doubled(4), 8);
  EXPECT_TRUE(only_checked(1).ok());
  EXPECT_FALSE(only_checked(0).ok());
}

TEST(StatusDeathTest, ValueOfAnErrorAbortsWithItsText) {
  EXPECT_DEATH((void)*doubled(0), "the count must be positive");
}

}  // namespace
}  // namespace braid

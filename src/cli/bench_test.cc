#include "cli/bench.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace braid::cli {
namespace {

TEST(BenchTest, SpreadAsTextAndJson) {
  const lab::Spread spread = lab::spread_of({0.001, 0.002, 0.003});
  EXPECT_EQ(to_text(spread), "2.00 ms [1.00, 1.50, 2.50, 3.00]");
  EXPECT_EQ(to_json(spread)["median"], 0.002);
}

}  // namespace
}  // namespace braid::cli

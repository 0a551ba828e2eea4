#include "cli/bench.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace braid::cli {
namespace {

TEST(BenchTest, SpreadInterpolatesQuantiles) {
  const Spread spread = spread_of({4, 1, 3, 2});
  EXPECT_DOUBLE_EQ(spread.min, 1);
  EXPECT_DOUBLE_EQ(spread.lower_quartile, 1.75);
  EXPECT_DOUBLE_EQ(spread.median, 2.5);
  EXPECT_DOUBLE_EQ(spread.upper_quartile, 3.25);
  EXPECT_DOUBLE_EQ(spread.max, 4);
  const Spread one = spread_of({7});
  EXPECT_DOUBLE_EQ(one.min, 7);
  EXPECT_DOUBLE_EQ(one.upper_quartile, 7);
}

TEST(BenchTest, SpreadAsTextAndJson) {
  const Spread spread = spread_of({0.001, 0.002, 0.003});
  EXPECT_EQ(to_text(spread), "2.00 ms [1.00, 1.50, 2.50, 3.00]");
  EXPECT_EQ(to_json(spread)["median"], 0.002);
}

TEST(BenchTest, RequestsAreRandomButReproducible) {
  const engine::Request request = random_request(100, 50, 7, 3);
  EXPECT_EQ(request.prompt, random_request(100, 50, 7, 3).prompt);
  EXPECT_NE(request.prompt, random_request(100, 50, 7, 4).prompt);
  EXPECT_EQ(request.prompt.size(), 50u);
  EXPECT_EQ(request.max_tokens, 7);
  EXPECT_TRUE(request.stop_token_ids.empty());
  for (const int32_t id : request.prompt) EXPECT_TRUE(id >= 0 && id < 100);
}

}  // namespace
}  // namespace braid::cli

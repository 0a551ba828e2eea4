#include "lab/engine_runs.h"

#include <gtest/gtest.h>

#include "lab/spread.h"
#include "model/dummy_source.h"
#include "model/testing.h"
#include "start/resolve.h"

namespace braid::lab {
namespace {

TEST(SpreadTest, InterpolatesQuantiles) {
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

TEST(EngineRunsTest, RequestsAreRandomButReproducible) {
  const engine::Request request = random_request(100, 50, 7, 3);
  EXPECT_EQ(request.prompt, random_request(100, 50, 7, 3).prompt);
  EXPECT_NE(request.prompt, random_request(100, 50, 7, 4).prompt);
  EXPECT_EQ(request.prompt.size(), 50u);
  EXPECT_EQ(request.max_tokens, 7);
  EXPECT_TRUE(request.stop_token_ids.empty());
  for (const int32_t id : request.prompt) EXPECT_TRUE(id >= 0 && id < 100);
}

TEST(EngineRunsTest, EveryTokenIsCounted) {
  const auto engine =
      start::create_engine(model::load_config(model::testing::golden_folder("glm4_moe")).value(),
                           {.context_length = 16, .max_running = 2, .chunked_prefill_size = 16})
          .value();
  ASSERT_TRUE(engine->load(model::DummySource()).ok());
  const RequestSizes sizes{.count = 3, .input_len = 5, .output_len = 4};
  const Throughput result = measure_throughput(*engine, sizes).value();
  EXPECT_EQ(result.requests, 3);
  EXPECT_EQ(result.input_tokens, 15);
  EXPECT_EQ(result.output_tokens, 12);
  Latencies latencies;
  ASSERT_TRUE(
      measure_latency(*engine, {.count = 2, .input_len = 5, .output_len = 4}, latencies).ok());
  EXPECT_EQ(latencies.prefill.size(), 1u);  // both prompts fit into one step
  EXPECT_EQ(latencies.decode.size(), 3u);
}

}  // namespace
}  // namespace braid::lab

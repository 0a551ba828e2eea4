#include "lab/paired_engines.h"

#include <gtest/gtest.h>

#include "model/dummy_source.h"
#include "model/testing.h"

namespace braid::lab {
namespace {

model::ModelConfig glm() {
  return model::load_config(model::testing::golden_folder("glm4_moe")).value();
}

start::EngineOptions options_of(const layout::LayoutOptions& layout) {
  return {.layout = layout,
          .context_length = 24,
          .max_running = 2,
          .chunked_prefill_size = 32,
          .page_size = 4,
          .num_blocks = 16};
}

std::vector<engine::Request> two_requests(int32_t max_tokens) {
  std::vector<engine::Request> requests(2, engine::Request{.prompt = {}, .max_tokens = max_tokens});
  for (int32_t i = 0; i < 10; ++i) {
    requests[0].prompt.push_back(3 * i);
    requests[1].prompt.push_back(7 * i + 1);
  }
  return requests;
}

TEST(PairedEnginesTest, EveryVariantHasASampleARound) {
  const auto config = glm();
  const auto pairs = PairedEngines::create(
      config, {{"one", options_of({})}, {"two", options_of({.tp = 2})}}, model::DummySource());
  ASSERT_TRUE(pairs.ok()) << pairs.error().to_string();
  const auto times = (*pairs)->time(two_requests(5), 3, 1);
  ASSERT_TRUE(times.ok()) << times.error().to_string();
  ASSERT_EQ(times->size(), 2u);
  for (const EngineTimes& variant : *times) {
    EXPECT_EQ(variant.prefill.size(), 3u);
    EXPECT_EQ(variant.decode.size(), 3u);
  }
  // One prefill and four steps of decoding, warm-up included, in every round.
  for (size_t i = 0; i < 2; ++i) EXPECT_EQ((*pairs)->engine(i).steps(), 4 * 5);
}

TEST(PairedEnginesTest, RequestsThatEndAtOnceHaveNoDecode) {
  const auto config = glm();
  const auto pairs =
      PairedEngines::create(config, {{"one", options_of({})}}, model::DummySource()).value();
  const auto times = pairs->time(two_requests(1), 2, 1).value();
  EXPECT_EQ(times[0].prefill.size(), 2u);
  EXPECT_TRUE(times[0].decode.empty());
}

TEST(PairedEnginesTest, LogitsOfTheSameOptionsAreTheSameBits) {
  const auto config = glm();
  const model::DummySource source;
  const std::vector<int32_t> ids = {1, 5, 9, 2, 77};
  const Logits a = logits_under(config, options_of({}), source, ids).value();
  const Logits b = logits_under(config, options_of({}), source, ids).value();
  EXPECT_EQ(relative_error(a, b), 0);
  const Logits spread = logits_under(config, options_of({.tp = 2}), source, ids).value();
  EXPECT_LT(relative_error(spread, a), 1e-5);
  EXPECT_GT(relative_error(spread, a), 0);  // sums of parts
}

TEST(RelativeErrorTest, IsThatOfTheWhole) {
  const Logits a{.num_tokens = 1, .vocab_size = 2, .values = {3, 5}, .routing = {}};
  const Logits b{.num_tokens = 1, .vocab_size = 2, .values = {3, 4}, .routing = {}};
  EXPECT_DOUBLE_EQ(relative_error(a, b), 0.2);
  EXPECT_EQ(relative_error(a, a), 0);
}

TEST(PairedRatioTest, IsTakenRoundByRound) {
  const std::vector<double> a = {2, 20, 200}, b = {1, 10, 100};  // a machine that slows down
  const Estimate ratio = paired_ratio(a, b);
  EXPECT_EQ(ratio.median, 2);
  EXPECT_EQ(ratio.low, 2);
  EXPECT_EQ(ratio.high, 2);
}

}  // namespace
}  // namespace braid::lab

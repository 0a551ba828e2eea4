#include "kernels/sample/cpu/top_logprobs.h"

#include <cmath>
#include <limits>

#include "kernels/cpu/test_support.h"

namespace braid::kernels::cpu {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Listed {
  std::vector<float> logprobs = std::vector<float>(1 + kMaxTopLogprobs, 7);
  std::vector<int32_t> ids = std::vector<int32_t>(kMaxTopLogprobs, 7);
};

Listed list(const std::vector<float>& logits, int32_t id, int32_t wanted) {
  Listed listed;
  const auto size = static_cast<int64_t>(logits.size());
  std::vector<std::byte> scratch(static_cast<size_t>(top_logprobs_scratch_bytes(size)));
  top_logprobs(size, logits.data(), id, wanted, listed.logprobs.data(), listed.ids.data(),
               scratch.data());
  return listed;
}

double log_softmax(const std::vector<float>& logits, size_t id) {
  long double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<long double>(logit) - logits[id]);
  return static_cast<double>(-std::log(sum));
}

TEST(TopLogprobsTest, AreTheLogSoftmax) {
  Random random(1);
  for (const float spread : {0.1f, 3.0f, 40.0f}) {
    std::vector<float> logits(5000);
    for (float& logit : logits) logit = spread * random_value<float>(random);
    const Listed listed = list(logits, 1234, kMaxTopLogprobs);
    EXPECT_NEAR(listed.logprobs[0], log_softmax(logits, 1234), 2e-6 * (1 + spread));
    for (size_t i = 0; i < kMaxTopLogprobs; ++i) {
      const auto id = static_cast<size_t>(listed.ids[i]);
      EXPECT_NEAR(listed.logprobs[1 + i], log_softmax(logits, id), 1e-6 * (1 + spread));
      if (i == 0) continue;
      EXPECT_GE(logits[static_cast<size_t>(listed.ids[i - 1])], logits[id]);
    }
    std::sort(logits.begin(), logits.end(), std::greater<>());
    EXPECT_NEAR(listed.logprobs[kMaxTopLogprobs], log_softmax(logits, kMaxTopLogprobs - 1),
                1e-6 * (1 + spread));
  }
}

TEST(TopLogprobsTest, OfEqualLogitsTheLowerIdsAreListed) {
  const Listed listed = list({1, 3, 2, 3, 2, 2}, 0, 4);
  EXPECT_EQ(std::vector<int32_t>(listed.ids.begin(), listed.ids.begin() + 5),
            (std::vector<int32_t>{1, 3, 2, 4, -1}));
  EXPECT_EQ(listed.logprobs[5], -kInfinity);
}

TEST(TopLogprobsTest, ListsNoMoreThanThereAre) {
  const Listed listed = list({0, -kInfinity, 0}, 1, 10);
  EXPECT_EQ(listed.logprobs[0], -kInfinity);
  EXPECT_FLOAT_EQ(listed.logprobs[1], -std::log(2.0f));
  EXPECT_EQ(listed.ids[1], 2);
  EXPECT_EQ(listed.ids[2], -1);
}

TEST(TopLogprobsTest, NothingIsListedWhereNothingIsWanted) {
  const Listed chosen_alone = list({0, 0}, 1, 0);
  EXPECT_FLOAT_EQ(chosen_alone.logprobs[0], -std::log(2.0f));
  EXPECT_EQ(chosen_alone.ids[0], -1);
  const Listed nothing = list({0, 0}, 1, -1);
  EXPECT_EQ(nothing.logprobs, std::vector<float>(1 + kMaxTopLogprobs, -kInfinity));
  EXPECT_EQ(nothing.ids, std::vector<int32_t>(kMaxTopLogprobs, -1));
}

}  // namespace
}  // namespace braid::kernels::cpu

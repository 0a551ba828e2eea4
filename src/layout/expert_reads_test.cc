#include "layout/expert_reads.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace braid::layout {
namespace {

// The same by drawing lots.
ExpertReads simulated_reads(int64_t num_experts, int64_t top_k, int32_t groups, int64_t tokens) {
  std::mt19937_64 random(20);
  constexpr int kSteps = 4000;
  std::vector<int64_t> experts(static_cast<size_t>(num_experts));
  double all = 0, slowest = 0;
  for (int step = 0; step < kSteps; ++step) {
    std::vector<bool> chosen(experts.size());
    for (int64_t token = 0; token < tokens; ++token) {
      for (size_t i = 0; i < experts.size(); ++i) experts[i] = static_cast<int64_t>(i);
      for (int64_t k = 0; k < top_k; ++k) {  // the first k are drawn
        const int64_t left = num_experts - k;
        const int64_t pick = k + static_cast<int64_t>(random() % static_cast<uint64_t>(left));
        std::swap(experts[static_cast<size_t>(k)], experts[static_cast<size_t>(pick)]);
        chosen[static_cast<size_t>(experts[static_cast<size_t>(k)])] = true;
      }
    }
    int64_t most = 0;
    const int64_t each = num_experts / groups;
    for (int32_t group = 0; group < groups; ++group) {
      const auto first = chosen.begin() + group * each;
      const int64_t here = std::count(first, first + each, true);
      all += static_cast<double>(here);
      most = std::max(most, here);
    }
    slowest += static_cast<double>(most);
  }
  return {all / kSteps, slowest / kSteps};
}

// DeepSeek-V2's experts on two ranks: what no code can make faster.
TEST(ExpertReadsTest, OfDeepSeekV2OnTwoRanks) {
  EXPECT_NEAR(slowest_over_even(160, 6, 2, 1), 1.3066, 0.0001);
  EXPECT_NEAR(slowest_over_even(160, 6, 2, 4), 1.1553, 0.0001);
  EXPECT_NEAR(slowest_over_even(160, 6, 2, 16), 1.07, 0.005);
  EXPECT_NEAR(slowest_over_even(160, 6, 2, 64), 1.02, 0.005);
}

TEST(ExpertReadsTest, ByHand) {
  // One of 4 experts in 2 groups, one token: one group reads it. 2 of 4: both in one group in 2 of
  // the 6 cases, else one in each.
  EXPECT_DOUBLE_EQ(slowest_over_even(4, 1, 2, 1), 2);
  EXPECT_DOUBLE_EQ(expected_reads(4, 2, 2, 1).slowest, 2.0 / 6 * 2 + 4.0 / 6 * 1);
  // A second token chooses the same expert in a quarter of the cases.
  EXPECT_DOUBLE_EQ(expected_reads(4, 1, 2, 2).all, 0.25 * 1 + 0.75 * 2);
  EXPECT_DOUBLE_EQ(expected_reads(4, 1, 4, 2).slowest, 1);  // an expert each
  EXPECT_DOUBLE_EQ(slowest_over_even(4, 4, 2, 1), 1);       // all of them, always
  EXPECT_DOUBLE_EQ(slowest_over_even(64, 8, 1, 3), 1);      // one group is TP
}

TEST(ExpertReadsTest, AreThoseOfASimulation) {
  for (const auto& [experts, top_k, groups, tokens] :
       {std::tuple{16, 4, 2, 1}, {16, 4, 4, 3}, {128, 8, 8, 4}, {8, 2, 8, 2}, {60, 4, 4, 16}}) {
    SCOPED_TRACE(testing::Message() << experts << " " << top_k << " " << groups << " " << tokens);
    const ExpertReads exact = expected_reads(experts, top_k, groups, tokens);
    const ExpertReads drawn = simulated_reads(experts, top_k, groups, tokens);
    EXPECT_NEAR(drawn.all / exact.all, 1, 0.02);
    EXPECT_NEAR(drawn.slowest / exact.slowest, 1, 0.02);
  }
}

// More tokens even it out; more groups make it worse.
TEST(ExpertReadsTest, ApproachOneWithTokensAndGrowWithGroups) {
  for (const int32_t groups : {2, 4, 8, 16}) {
    double last = 1e9;
    for (const int64_t tokens : {1, 4, 16, 64, 256}) {
      const double factor = slowest_over_even(128, 8, groups, tokens);
      EXPECT_LT(factor, last);
      EXPECT_GT(factor, slowest_over_even(128, 8, groups / 2, tokens) - 1e-9);
      EXPECT_GE(factor, 1 - 1e-9);
      last = factor;
    }
    EXPECT_NEAR(last, 1, 1e-4);
  }
}

TEST(ExpertReadsTest, ManyExpertsStayInRange) {
  const double factor = slowest_over_even(1280, 16, 8, 8);
  EXPECT_GT(factor, 1.1);
  EXPECT_LT(factor, 2);
}

}  // namespace
}  // namespace braid::layout

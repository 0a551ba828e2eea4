#include "lab/paired.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace braid::lab {
namespace {

TEST(PairedTest, MedianAndRangeOfFewSamples) {
  const std::vector<double> odd = {3, 1, 2};
  EXPECT_EQ(estimate(odd).median, 2);
  EXPECT_EQ(estimate(odd).low, 1);
  EXPECT_EQ(estimate(odd).high, 3);
  const std::vector<double> even = {4, 1, 2, 3};
  EXPECT_EQ(estimate(even).median, 2.5);
}

TEST(PairedTest, TheIntervalIsThatOfTheBinomialDistribution) {
  std::vector<double> samples;
  for (int i = 1; i <= 30; ++i) samples.push_back(i);
  // For n = 30 the exact 95 % interval lies between the 10th and the 21st sample.
  EXPECT_LE(estimate(samples).low, 10);
  EXPECT_GE(estimate(samples).low, 9);
  EXPECT_GE(estimate(samples).high, 21);
  EXPECT_LE(estimate(samples).high, 22);
}

TEST(PairedTest, ADriftThatBothShareCancels) {
  std::mt19937 random(1);
  std::normal_distribution<double> noise(0, 0.1);
  std::vector<double> a, b;
  for (int i = 0; i < 100; ++i) {
    const double drift = i;
    a.push_back(drift + 1 + noise(random));
    b.push_back(drift + noise(random));
  }
  const Estimate difference = paired_difference(a, b);
  EXPECT_NEAR(difference.median, 1, 0.05);
  EXPECT_LT(difference.high - difference.low, 0.2);
}

TEST(PairedTest, CoversTheTrueMedianAsOftenAsItSays) {
  std::mt19937 random(2);
  std::exponential_distribution<double> skewed(1);
  int covered = 0;
  for (int trial = 0; trial < 1000; ++trial) {
    std::vector<double> samples;
    for (int i = 0; i < 31; ++i) samples.push_back(skewed(random));
    const Estimate found = estimate(samples);
    covered += found.low <= std::log(2.0) && std::log(2.0) <= found.high ? 1 : 0;
  }
  EXPECT_GE(covered, 930);
}

}  // namespace
}  // namespace braid::lab

#include "kernels/sample/cpu/sample.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include "kernels/cpu/test_support.h"
#include "kernels/hash.h"

namespace braid::kernels::cpu {
namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

int32_t choose(const SampleRow& row, const std::vector<float>& logits) {
  const auto size = static_cast<int64_t>(logits.size());
  std::vector<std::byte> scratch(static_cast<size_t>(sample_scratch_bytes(size)));
  return sample(row, size, logits.data(), scratch.data());
}

SampleRow drawing(int32_t position, float temperature = 1, float top_p = 1, int32_t top_k = 0) {
  return {temperature, top_p, top_k, 42, position};
}

// How often each id is drawn over `draws` positions.
std::vector<int64_t> histogram(const SampleRow& like, const std::vector<float>& logits,
                               int32_t draws) {
  std::vector<int64_t> counts(logits.size());
  for (int32_t i = 0; i < draws; ++i) {
    SampleRow row = like;
    row.position = i;
    ++counts[static_cast<size_t>(choose(row, logits))];
  }
  return counts;
}

// Pearson's statistic against probabilities; ids of probability 0 must not occur.
double chi_square(const std::vector<int64_t>& counts, const std::vector<double>& probabilities) {
  const auto draws = static_cast<double>(std::accumulate(counts.begin(), counts.end(), 0L));
  double sum = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    const double expected = draws * probabilities[i];
    if (expected == 0) {
      EXPECT_EQ(counts[i], 0) << i;
      continue;
    }
    sum += (static_cast<double>(counts[i]) - expected) *
           (static_cast<double>(counts[i]) - expected) / expected;
  }
  return sum;
}

// The definition, by sorting everything.
std::vector<double> exact(const SampleRow& row, const std::vector<float>& logits) {
  std::vector<size_t> order(logits.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return logits[a] > logits[b]; });
  if (row.top_k > 0) order.resize(std::min(order.size(), static_cast<size_t>(row.top_k)));
  std::vector<double> weights(logits.size(), 0.0);
  double total = 0;
  for (const size_t id : order) {
    weights[id] = std::exp(static_cast<double>(logits[id] - logits[order[0]]) /
                           static_cast<double>(row.temperature));
    total += weights[id];
  }
  double kept = 0;
  for (const size_t id : order) {
    if (kept > 0 && kept >= static_cast<double>(row.top_p) * total) weights[id] = 0;
    kept += weights[id];
  }
  for (double& weight : weights) weight /= kept;
  return weights;
}

TEST(SampleTest, TemperatureZeroTakesTheHighestAndTheLowestIdOfATie) {
  EXPECT_EQ(choose({}, {0.5f, 2.0f, -1.0f}), 1);
  EXPECT_EQ(choose({}, {1.0f, 3.0f, 3.0f, 3.0f}), 1);
  EXPECT_EQ(choose({}, {-0.0f, 0.0f}), 0);
  EXPECT_EQ(choose({}, {7.0f}), 0);
  EXPECT_EQ(choose({}, {-kInfinity, -5.0f}), 1);
}

TEST(SampleTest, DrawsFromTheSoftmax) {
  const std::vector<float> logits{0.0f, 1.0f, -2.0f, 2.0f, 0.5f, 0.5f, -1.0f, 1.5f};
  for (const float temperature : {0.5f, 1.0f, 3.0f}) {
    const SampleRow row = drawing(0, temperature);
    // 7 degrees of freedom: 24.3 is exceeded with probability 0.001.
    EXPECT_LT(chi_square(histogram(row, logits, 20000), exact(row, logits)), 24.3) << temperature;
  }
}

TEST(SampleTest, DrawsFromWhatTopKAndTopPLeave) {
  Random random(1);
  std::vector<float> logits(40);
  for (float& logit : logits) logit = 3 * random_value<float>(random);
  logits[30] = logits[3];  // a tie
  for (const int32_t top_k : {0, 2, 7, 39, 40, 1000}) {
    for (const float top_p : {0.05f, 0.3f, 0.9f, 1.0f}) {
      const SampleRow row = drawing(0, 0.8f, top_p, top_k);
      // 39 degrees of freedom: 72.1 is exceeded with probability 0.001.
      EXPECT_LT(chi_square(histogram(row, logits, 8000), exact(row, logits)), 72.1)
          << "top_k " << top_k << " top_p " << top_p;
    }
  }
}

TEST(SampleTest, TopKOneAndTinyTopPAreGreedy) {
  const std::vector<float> logits{0.0f, 2.0f, 2.0f, 1.9f};
  for (int32_t position = 0; position < 200; ++position) {
    EXPECT_EQ(choose(drawing(position, 5, 1, 1), logits), 1);
    EXPECT_EQ(choose(drawing(position, 5, 1e-6f), logits), 1);
    EXPECT_EQ(choose(drawing(position, 5, 0), logits), 1);
    EXPECT_EQ(choose(drawing(position, 1e-30f), {0.0f, 2.0f, 1.9f}), 1);
  }
}

TEST(SampleTest, OfEqualLogitsTheLowerIdsAreKept) {
  const std::vector<float> logits(10, 1.0f);
  const auto by_k = histogram(drawing(0, 1, 1, 3), logits, 300);
  const auto by_p = histogram(drawing(0, 1, 0.25f), logits, 300);  // 3 of 10 reach 0.25
  for (size_t id = 0; id < 10; ++id) {
    EXPECT_EQ(by_k[id] > 0, id < 3) << id;
    EXPECT_EQ(by_p[id] > 0, id < 3) << id;
  }
}

// Flat and large: the cut sorts several thousand ids.
TEST(SampleTest, TopPOverManyEqualIds) {
  const std::vector<float> logits(5000, -3.0f);
  std::set<int32_t> seen;
  for (int32_t position = 0; position < 3000; ++position) {
    const int32_t id = choose(drawing(position, 1, 0.5f), logits);
    ASSERT_LT(id, 2500);
    seen.insert(id);
  }
  EXPECT_GT(*seen.rbegin(), 2450);
  EXPECT_GT(seen.size(), 1500u);
}

TEST(SampleTest, NothingIsChosenFromLogitsThatAreNotFinite) {
  SampleRow of_min_p = drawing(4);
  of_min_p.log_min_p = std::log(0.5f);
  for (const SampleRow& row :
       {SampleRow{}, drawing(1), drawing(2, 1, 0.9f), drawing(3, 1, 1, 2), of_min_p}) {
    EXPECT_EQ(choose(row, {kNaN, kNaN, kNaN}), kNoChoice);
    EXPECT_EQ(choose(row, {2.0f, 1.0f, kNaN}), kNoChoice);
    EXPECT_EQ(choose(row, {-kInfinity, -kInfinity}), kNoChoice);
    EXPECT_EQ(choose(row, {kNaN, -kInfinity}), kNoChoice);
    EXPECT_EQ(choose(row, {1.0f, kInfinity, 0.0f}), kNoChoice);
    EXPECT_EQ(choose(row, {-kInfinity, 4.0f, -kInfinity}), 1);  // masked ids are no fault
  }
}

// The definition in doubles: what has at least min_p times the highest probability.
TEST(SampleTest, MinPLeavesWhatIsLikelyBesideTheLikeliest) {
  Random random(6);
  std::vector<float> logits(40);
  for (float& logit : logits) logit = 3 * random_value<float>(random);
  for (const float min_p : {0.01f, 0.2f, 0.9f, 1.0f}) {
    for (const int32_t top_k : {0, 5}) {
      for (const float top_p : {0.8f, 1.0f}) {
        SampleRow row = drawing(0, 1.5f, top_p, top_k);
        std::vector<double> want = exact(row, logits);
        const double highest = *std::max_element(want.begin(), want.end());
        double left = 0;
        for (double& p : want) left += p = p >= static_cast<double>(min_p) * highest ? p : 0;
        for (double& p : want) p /= left;
        row.log_min_p = std::log(min_p);
        EXPECT_LT(chi_square(histogram(row, logits, 8000), want), 72.1)
            << "min_p " << min_p << " top_k " << top_k << " top_p " << top_p;
      }
    }
  }
}

TEST(SampleTest, OddMinPIsHarmless) {
  for (const float log_min_p : {kNaN, kInfinity, 3.0f}) {
    SampleRow row = drawing(0, 1, 0.9f);
    row.log_min_p = log_min_p;
    const int32_t id = choose(row, {0.0f, 5.0f, 1.0f});
    EXPECT_TRUE(id >= 0 && id < 3);
  }
}

TEST(SampleTest, OddParametersAreHarmless) {
  const std::vector<float> logits{0.0f, 5.0f, 1.0f};
  EXPECT_EQ(choose(drawing(0, kNaN), logits), 1);
  EXPECT_EQ(choose(drawing(0, -1), logits), 1);
  for (const float top_p : {kNaN, 2.0f, -1.0f}) {
    const int32_t id = choose(drawing(0, 1, top_p, -5), logits);
    EXPECT_TRUE(id >= 0 && id < 3);
  }
  const int32_t any = choose(drawing(0, kInfinity), logits);
  EXPECT_TRUE(any >= 0 && any < 3);
  EXPECT_EQ(choose(drawing(0, 1), {3e38f, -3e38f}), 0);
}

TEST(SampleTest, DependsOnSeedAndPositionAlone) {
  Random random(2);
  std::vector<float> logits(100);
  for (float& logit : logits) logit = random_value<float>(random);
  int differs = 0;
  for (int32_t position = 0; position < 50; ++position) {
    SampleRow row = drawing(position);
    const int32_t id = choose(row, logits);
    EXPECT_EQ(choose(row, logits), id);
    row.seed = 43;
    differs += choose(row, logits) != id ? 1 : 0;
  }
  EXPECT_GT(differs, 40);
}

TEST(UniformTest, FillsTheUnitIntervalEvenly) {
  std::vector<int64_t> counts(64);
  double last = -1, correlation = 0;
  for (int64_t position = 0; position < 64000; ++position) {
    const double u = uniform(7, position);
    ASSERT_TRUE(u >= 0 && u < 1);
    ++counts[static_cast<size_t>(u * 64)];
    if (last >= 0) correlation += (u - 0.5) * (last - 0.5);
    last = u;
  }
  // 63 degrees of freedom: 103.4 is exceeded with probability 0.001.
  EXPECT_LT(chi_square(counts, std::vector<double>(64, 1.0 / 64)), 103.4);
  EXPECT_LT(std::abs(correlation / 64000), 1.0 / 12 * 0.015);
}

TEST(UniformTest, SeedsNextToEachOtherAreUnrelated) {
  std::vector<int64_t> counts(64);
  for (uint64_t seed = 0; seed < 64000; ++seed) {
    ++counts[static_cast<size_t>(uniform(seed, 5) * 64)];
  }
  EXPECT_LT(chi_square(counts, std::vector<double>(64, 1.0 / 64)), 103.4);
  EXPECT_NE(uniform(1, 2), uniform(2, 1));
  EXPECT_NE(uniform(0, 0), uniform(0, 1));
}

// The numbers are part of the product: a seed must reproduce a text on every version.
TEST(UniformTest, KnownValues) {
  EXPECT_EQ(mix(0), 0u);
  EXPECT_EQ(mix(0x9e3779b97f4a7c15u), 0xe220a8397b1dcdafu);  // SplitMix64's first output of seed 0
  EXPECT_EQ(uniform(0, 0), 0x1.4e0dba5e9a32fp-1);
  EXPECT_EQ(uniform(42, 0), 0x1.5f87eae99441cp-2);
  EXPECT_EQ(uniform(42, 1000), 0x1.63f919049aa49p-1);
  static_assert(unit_interval(~uint64_t{0}) < 1.0);
}

}  // namespace
}  // namespace braid::kernels::cpu

#include "experts/heat_counts.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

namespace braid::experts {
namespace {

using Counts = std::vector<uint64_t>;
using Sums = std::vector<double>;

Counts list(std::span<const uint64_t> counts) { return {counts.begin(), counts.end()}; }

// Of 2 layers, 2 groups, 3 experts. Group g's counters as its rank has them: `first` + 1000 · g,
// and one more each.
Heat counted(uint64_t first) {
  Heat heat({.layers = 2, .groups = 2, .experts = 3});
  for (const int32_t group : {0, 1}) {
    Counts counters(12);
    std::iota(counters.begin(), counters.end(), first + 1000 * static_cast<uint64_t>(group));
    heat.set_group(group, counters);
  }
  return heat;
}

TEST(HeatTest, TakesGroupsCountersByLayerAndPhase) {
  const Heat heat = counted(10);
  EXPECT_EQ(list(heat.of(Phase::decode, 0, 0)), (Counts{10, 11, 12}));
  EXPECT_EQ(list(heat.of(Phase::prefill, 0, 0)), (Counts{13, 14, 15}));
  EXPECT_EQ(list(heat.of(Phase::decode, 1, 0)), (Counts{16, 17, 18}));
  EXPECT_EQ(list(heat.of(Phase::prefill, 1, 1)), (Counts{1019, 1020, 1021}));
  EXPECT_EQ(heat.of(Phase::prefill), (Sums{1026, 1028, 1030, 1038, 1040, 1042}));  // both groups
  EXPECT_EQ(heat.total(Phase::decode), 2u * (33 + 51) + 6 * 1000);
  EXPECT_EQ(heat.total(Phase::prefill), 2u * (42 + 60) + 6 * 1000);
}

TEST(HeatTest, AddsUpAndTellsWhatWasCountedSince) {
  Heat all = counted(10);
  const Heat window = counted(500).since(all).value();
  for (const Phase phase : kPhases) {
    for (const int32_t group : {0, 1}) {
      EXPECT_EQ(list(window.of(phase, 1, group)), (Counts{490, 490, 490}));
    }
  }
  all.add(window);
  EXPECT_EQ(all, counted(500));
}

TEST(HeatTest, CountersThatShrinkAreAnError) {
  const auto window = counted(9).since(counted(10));
  ASSERT_FALSE(window.ok());
  EXPECT_EQ(window.error().kind(), ErrorKind::internal);
  EXPECT_NE(window.error().to_string().find("was = 10, is = 9"), std::string::npos)
      << window.error().to_string();
}

TEST(HeatWindowTest, WindowsFollowOneAnother) {
  HeatWindow window(counted(10));
  EXPECT_EQ(window.cut(counted(17))->of(Phase::decode), Sums(6, 14));
  EXPECT_EQ(window.cut(counted(17))->total(Phase::decode), 0u);
  EXPECT_EQ(window.cut(counted(18))->of(Phase::prefill), Sums(6, 2));
  EXPECT_FALSE(window.cut(counted(0)).ok());
  EXPECT_EQ(window.cut(counted(19))->of(Phase::prefill), Sums(6, 2));  // as if untried
}

// One layer, one group, two experts.
Heat small(Counts decode, const Counts& prefill) {
  Heat heat({.layers = 1, .groups = 1, .experts = 2});
  decode.insert(decode.end(), prefill.begin(), prefill.end());
  heat.set_group(0, decode);
  return heat;
}

TEST(DecayedHeatTest, IsHalvedByWindowsOfItsPhaseAlone) {
  DecayedHeat heat({.layers = 1, .groups = 1, .experts = 2}, /*half_life=*/2);
  heat.add(small({64, 0}, {100, 8}));
  for (int i = 0; i < 4; ++i) heat.add(small({0, 1}, {0, 0}));  // no prefill: it doesn't fade
  const auto decode = heat.of(Phase::decode);
  EXPECT_NEAR(decode[0], 16, 1e-9);
  const double kept = std::sqrt(0.5);
  EXPECT_NEAR(decode[1], 1 + kept + kept * kept + kept * kept * kept, 1e-9);
  EXPECT_EQ(heat.of(Phase::prefill)[0], 100);
  heat.add(small({0, 0}, {0, 1}));
  EXPECT_NEAR(heat.of(Phase::prefill)[0], 100 * kept, 1e-9);
  EXPECT_NEAR(heat.of(Phase::decode)[0], 16, 1e-9);
}

TEST(DecayedHeatTest, AddsTheGroupsUp) {
  DecayedHeat heat({.layers = 2, .groups = 2, .experts = 3}, 1);
  heat.add(counted(10));
  EXPECT_EQ(heat.of(Phase::prefill)[5], 1042);
}

}  // namespace
}  // namespace braid::experts

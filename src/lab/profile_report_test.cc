#include "lab/profile_report.h"

#include <gtest/gtest.h>

#include <numeric>

#include "lab/profile_test_util.h"

namespace braid::lab {
namespace {

using testing::HandMade;

int64_t sum(const ModuleTimes& times) {
  return std::accumulate(times.begin(), times.end(), int64_t{0});
}
int64_t of(const ModuleTimes& times, Module module) { return times[static_cast<size_t>(module)]; }

TEST(ProfileReportTest, EveryMomentCountsOnceAndAddsUpToTheWall) {
  const HandMade made;
  const PhaseReport report = made.report();
  ASSERT_EQ(report.ranks.size(), 2u);
  EXPECT_EQ(report.wall_ns(), 2 * 1000);
  for (const RankReport& rank : report.ranks) {
    EXPECT_EQ(sum(rank.times), report.wall_ns());
    EXPECT_EQ(rank.occupancy.wall(), report.wall_ns());
    EXPECT_EQ(of(rank.times, Module::idle), rank.occupancy.idle);
  }
}

TEST(ProfileReportTest, TimesGoToTheirModules) {
  const HandMade made;
  const RankReport rank = made.report().ranks[0];
  // Each step: attention 0–200, reduction 200–500, experts 300–600 with the shared expert beside
  // it from 350 to 650, head 700–800.
  EXPECT_EQ(of(rank.times, Module::attention), 2 * 200);
  EXPECT_EQ(of(rank.times, Module::reductions), 2 * 100);
  EXPECT_EQ(of(rank.times, Module::experts), 2 * 300);
  EXPECT_EQ(of(rank.times, Module::shared_expert), 2 * 50);
  EXPECT_EQ(of(rank.times, Module::head), 2 * 100);
  EXPECT_EQ(of(rank.times, Module::idle), 2 * 250);
  EXPECT_EQ(of(rank.beside, Module::shared_expert), 2 * 250);
  EXPECT_EQ(of(rank.beside, Module::reductions), 2 * 200);
  EXPECT_EQ(rank.occupancy.hidden, 2 * 200);
  EXPECT_EQ(rank.occupancy.exposed, 2 * 100);
}

TEST(ProfileReportTest, WaitingIsForWhoCameLast) {
  const HandMade made;
  const PhaseReport report = made.report();
  // Rank 1 comes 260 later than rank 0, which computes from 100 after its own start on.
  EXPECT_EQ(report.ranks[0].waiting_ns, 2 * 100);
  EXPECT_EQ(report.ranks[0].waited_for, 1);
  EXPECT_EQ(report.ranks[1].waiting_ns, 0);
  EXPECT_EQ(report.ranks[1].waited_for, -1);
  EXPECT_EQ(report.slowest(), 1u);
}

TEST(ProfileReportTest, PlacesAreTheLayersThatHaveAModule) {
  const HandMade made;
  const PhaseReport report = made.report();
  EXPECT_EQ(report.places[static_cast<size_t>(Module::attention)], 1);
  EXPECT_EQ(report.places[static_cast<size_t>(Module::reductions)], 2);
  EXPECT_EQ(report.places[static_cast<size_t>(Module::head)], 1);
  EXPECT_EQ(report.places[static_cast<size_t>(Module::idle)], 1);
}

TEST(ProfileReportTest, EveryModuleHasAName) {
  for (size_t module = 0; module < kNumModules; ++module) {
    EXPECT_FALSE(name_of(static_cast<Module>(module)).empty());
  }
}

TEST(ProfileReportTest, GroupsOfALayoutKeepTheirCommunicator) {
  layout::Layout layout;
  layout.world = 4;
  layout.communicators = {{{{0, 1}, {2, 3}}}, {{{0, 1, 2, 3}}}};
  const auto groups = groups_of(layout);
  ASSERT_EQ(groups.size(), 3u);
  EXPECT_EQ(groups[1].communicator, 0);
  EXPECT_EQ(groups[1].ranks, (std::vector<int32_t>{2, 3}));
  EXPECT_EQ(groups[2].communicator, 1);
}

}  // namespace
}  // namespace braid::lab

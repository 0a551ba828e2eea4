#include "flow/timeline.h"

#include <gtest/gtest.h>

#include "flow/compile.h"
#include "flow/test_kinds.h"

namespace braid::flow {
namespace {

using testing::Draft;

TimelineEvent event(Lane lane, int64_t start, int64_t end, int32_t op = 0) {
  return {.step = 1, .op = op, .lane = lane, .start_ns = start, .end_ns = end};
}

Occupancy occupancy_of(const std::vector<TimelineEvent>& events, int64_t from, int64_t to) {
  return occupancy(moments(events, from, to));
}

TEST(MomentsTest, AreCutWhereEventsStartAndEnd) {
  const std::vector<TimelineEvent> events = {event(Lane::compute, 10, 40),
                                             event(Lane::comm, 30, 70)};
  const auto found = moments(events, 0, 100);
  ASSERT_EQ(found.size(), 5u);
  const std::array<int64_t, 6> cuts = {0, 10, 30, 40, 70, 100};
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i].start_ns, cuts[i]);
    EXPECT_EQ(found[i].end_ns, cuts[i + 1]);
  }
  EXPECT_FALSE(found[0].computes());
  EXPECT_EQ(found[1].on(Lane::compute), 0);
  EXPECT_TRUE(found[2].hidden());
  EXPECT_TRUE(found[3].exposed());
  EXPECT_EQ(found[3].on(Lane::comm), 1);
  EXPECT_FALSE(found[4].exposed());
}

TEST(MomentsTest, OneEventBehindAnotherLeavesNoGap) {
  const std::vector<TimelineEvent> events = {event(Lane::compute, 0, 10),
                                             event(Lane::compute, 10, 20)};
  const auto found = moments(events, 0, 20);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].on(Lane::compute), 0);
  EXPECT_EQ(found[1].on(Lane::compute), 1);
}

TEST(MomentsTest, TakeNothingFromOutsideAndNothingFromEmptyEvents) {
  const std::vector<TimelineEvent> events = {event(Lane::compute, 0, 60), event(Lane::comm, 70, 70),
                                             event(Lane::comm, 90, 150)};
  EXPECT_EQ(occupancy_of(events, 50, 100), (Occupancy{.computing = 10, .exposed = 10, .idle = 30}));
  EXPECT_TRUE(moments(events, 50, 50).empty());
  EXPECT_EQ(occupancy_of({}, 5, 25), (Occupancy{.idle = 20}));
}

TEST(OccupancyTest, ExposedIsCommunicationThatNeitherLaneHides) {
  // comm       ----------------
  // compute   ----    --
  // aux              ----  ----
  const std::vector<TimelineEvent> events = {
      event(Lane::compute, 0, 40), event(Lane::comm, 10, 170), event(Lane::aux, 80, 120),
      event(Lane::compute, 90, 110), event(Lane::aux, 140, 180)};
  const auto found = moments(events, 0, 200);
  EXPECT_EQ(occupancy(found),
            (Occupancy{.computing = 20, .hidden = 100, .exposed = 60, .idle = 20}));
  EXPECT_EQ(exposed_intervals(found), (std::vector<Interval>{{40, 80}, {120, 140}}));
}

TEST(OccupancyTest, CommunicationIsHiddenByThisRankAlone) {
  const std::vector<TimelineEvent> events = {event(Lane::comm, 0, 50)};
  EXPECT_EQ(occupancy_of(events, 0, 50).exposed, 50);
}

TEST(OccupancyTest, CopiesHideNothing) {
  const std::vector<TimelineEvent> events = {event(Lane::copy, 0, 30), event(Lane::comm, 10, 20)};
  EXPECT_EQ(occupancy_of(events, 0, 40), (Occupancy{.exposed = 10, .copying = 20, .idle = 10}));
}

TEST(OccupancyTest, PartsAddUpToTheWall) {
  std::vector<TimelineEvent> events;
  uint64_t state = 3;
  for (const Lane lane : kLanes) {
    for (int64_t at = 0; at < 1000;) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      const auto gap = static_cast<int64_t>(state >> 33) % 7;
      const auto length = static_cast<int64_t>(state >> 40) % 11;
      events.push_back(event(lane, at + gap, at + gap + length));
      at += gap + length;
    }
  }
  Occupancy whole = occupancy_of(events, 0, 900);
  EXPECT_EQ(whole.wall(), 900);
  Occupancy halves = occupancy_of(events, 0, 333);
  halves += occupancy_of(events, 333, 900);
  EXPECT_EQ(halves, whole);
  EXPECT_GT(whole.hidden, 0);
  EXPECT_GT(whole.exposed, 0);
}

TEST(OccupancyTest, NeighbouringExposedMomentsAreOneInterval) {
  const std::vector<TimelineEvent> events = {event(Lane::comm, 0, 30), event(Lane::comm, 30, 50),
                                             event(Lane::copy, 10, 20)};
  EXPECT_EQ(exposed_intervals(moments(events, 0, 60)), (std::vector<Interval>{{0, 50}}));
}

// Three collectives of one step: two of communicator 0, one of communicator 1.
struct MeetingsTest : ::testing::Test {
  Schedule schedule;
  std::vector<Timeline> timelines;

  MeetingsTest() {
    Draft draft;
    const Value x = draft.step("x");
    draft.op(Lane::compute, {.out = {x}});
    draft.meet(0, 7, {.inout = {x}});
    draft.meet(1, 7, {.inout = {x}});
    draft.meet(0, 7, {.inout = {x}});
    schedule = *compile(draft.program);
    for (int32_t rank = 0; rank < 4; ++rank) {
      Timeline& timeline = timelines.emplace_back(Timeline{.rank = rank});
      timeline.steps[1] = {&schedule, ""};
      const int64_t late = rank == 2 ? 50 : rank;
      timeline.events = {event(Lane::compute, 0, 10, 0), event(Lane::comm, 100 + late, 200, 1),
                         event(Lane::comm, 300 + rank, 400, 2),
                         event(Lane::comm, 500 + rank, 600, 3)};
    }
  }
  std::vector<Meeting> meet(const std::vector<CommunicatorGroup>& groups) const {
    return meetings(timelines, groups);
  }
};

TEST_F(MeetingsTest, JoinTheNthOfACommunicatorAndNameTheLast) {
  const auto found = meet({{0, {0, 1, 2, 3}}});
  ASSERT_EQ(found.size(), 2u);
  ASSERT_EQ(found[0].members.size(), 4u);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(found[0].members[i].timeline, i);
    EXPECT_EQ(found[0].members[i].event, 1u);
    EXPECT_EQ(found[1].members[i].event, 3u);
  }
  EXPECT_EQ(found[0].last, 2u);
  EXPECT_EQ(found[0].last_start_ns, 150);
  EXPECT_EQ(found[1].last, 3u);
}

TEST_F(MeetingsTest, DisjointGroupsMeetApart) {
  const auto found = meet({{1, {0, 2}}, {1, {1, 3}}});
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].members[1].timeline, 2u);
  EXPECT_EQ(found[1].members[0].timeline, 1u);
  EXPECT_EQ(found[1].last_start_ns, 303);
}

TEST_F(MeetingsTest, WithoutAllItsMembersItIsNone) {
  timelines[1].events.pop_back();
  EXPECT_EQ(meet({{0, {0, 1, 2, 3}}}).size(), 1u);
  EXPECT_TRUE(meet({}).empty());
}

}  // namespace
}  // namespace braid::flow

#include <gtest/gtest.h>

#include "flow/check/check.h"
#include "flow/compile.h"
#include "flow/test_kinds.h"

namespace braid::flow {
namespace {

using testing::Draft;

void expect_parts(const Status& status, std::initializer_list<std::string_view> parts) {
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind(), ErrorKind::internal);
  const std::string text = status.error().to_string();
  for (const std::string_view part : parts) {
    EXPECT_NE(text.find(part), std::string::npos) << "'" << part << "' in: " << text;
  }
}

// A Program of collectives {communicator, signature} on x.
Schedule collectives(std::initializer_list<std::pair<int32_t, uint64_t>> sequence) {
  Draft draft;
  const Value x = draft.carried("x", 0);
  for (const auto& [communicator, signature] : sequence) {
    draft.meet(communicator, signature, {.inout = {x}});
  }
  return *compile(draft.program);
}

Status joint(const std::vector<Schedule>& schedules,
             const std::vector<CommunicatorGroup>& groups = {}) {
  std::vector<const Schedule*> ranks;
  for (const Schedule& schedule : schedules) ranks.push_back(&schedule);
  return check_joint(ranks, groups).status();
}

TEST(CheckJointTest, EqualSequencesMeet) {
  const std::vector<Schedule> schedules(3, collectives({{0, 5}, {1, 6}, {0, 7}}));
  std::vector<const Schedule*> ranks;
  for (const Schedule& schedule : schedules) ranks.push_back(&schedule);
  const auto report = check_joint(ranks);
  ASSERT_TRUE(report.ok()) << report.status().to_string();
  EXPECT_EQ(report->collectives, 3);
  EXPECT_EQ(report->ops, 9);
}

TEST(CheckJointTest, UnequalSequencesNameBothRanks) {
  expect_parts(joint({collectives({{0, 5}, {0, 6}}), collectives({{0, 6}, {0, 5}})}),
               {"ranks issue different sequences of collectives", "communicator = 0",
                "place in the sequence = 0", "rank 0 lane comm op 0", "rank 1 lane comm op 0"});
  expect_parts(joint({collectives({{0, 5}}), collectives({{0, 5}, {0, 5}})}),
               {"place in the sequence = 1", "rank = 1", "other rank = 0", "there = none"});
  expect_parts(joint({collectives({{3, 5}}), collectives({})}), {"communicator = 3"});
}

// Each communicator's sequence is the same, but one rank waits in the other's way.
TEST(CheckJointTest, OrdersAcrossCommunicatorsDeadlock) {
  expect_parts(joint({collectives({{0, 5}, {1, 6}}), collectives({{1, 6}, {0, 5}})}),
               {"form a cycle", "rank 0 lane comm op 0", "rank 1 lane comm op 1"});
}

TEST(CheckJointTest, GroupsOfRanks) {
  const std::vector<Schedule> schedules = {
      collectives({{0, 5}, {1, 9}}), collectives({{0, 5}, {1, 9}}), collectives({{0, 6}, {1, 9}}),
      collectives({{0, 6}, {1, 9}})};
  EXPECT_FALSE(joint(schedules).ok());
  EXPECT_TRUE(joint(schedules, {{0, {0, 1}}, {0, {2, 3}}}).ok());
  expect_parts(joint(schedules, {{0, {0, 1}}}), {"a group that it isn't in", "rank 2"});
  expect_parts(joint(schedules, {{0, {0, 1}}, {0, {1, 2, 3}}}), {"name no rank, or one twice"});
  expect_parts(joint(schedules, {{0, {0, 4}}}), {"name no rank", "rank = 4"});
}

TEST(CheckJointTest, CollectivesStandOnLaneComm) {
  Schedule schedule = collectives({{0, 5}});
  schedule.program.ops[0].lane = Lane::compute;
  std::swap(schedule.lanes[0], schedule.lanes[2]);
  expect_parts(joint({schedule}), {"another lane than comm", "lane compute op 0"});
  expect_parts(check_schedule(schedule).status(), {"another lane than comm"});
}

// Rank 0 fills its buffer, all meet, rank 1 reads it, all meet, rank 0 fills it again.
struct Exchange {
  bool first_meeting = true, second_meeting = true, barrier = true;

  Schedule rank(int32_t rank) const {
    Draft draft;
    const Value buffer = draft.carried("mailbox", 4, 4, 1, rank == 0 ? -1 : 0);
    const auto meet = [&](bool present) {
      if (present) draft.meet(0, 1, {.inout = {buffer}}, barrier);
    };
    if (rank == 0) draft.op(Lane::compute, {.out = {buffer}}, {1, Role::experts});
    meet(first_meeting);
    if (rank == 1) draft.op(Lane::compute, {.in = {buffer}}, {1, Role::mlp});
    meet(second_meeting);
    if (rank == 0) draft.op(Lane::compute, {.out = {buffer}}, {2, Role::experts});
    return *compile(draft.program);
  }
  Status check() const { return joint({rank(0), rank(1)}); }
};

TEST(CheckJointTest, PeersMemoryIsOrderedByCollectives) {
  EXPECT_TRUE(Exchange().check().ok()) << Exchange().check().to_string();
  expect_parts(Exchange{.first_meeting = false}.check(),
               {"no collective orders two ranks' accesses of one memory", "rank 0", "rank 1",
                "owner = 0", "buffer = mailbox", "rows = [0, 4)"});
  expect_parts(Exchange{.second_meeting = false}.check(), {"layer 2 experts", "layer 1 mlp"});
  expect_parts(Exchange{.barrier = false}.check(), {"no collective orders"});
}

TEST(CheckJointTest, AWaitForTheCollectiveIsNeededToo) {
  const Schedule first = Exchange().rank(0);
  Schedule second = Exchange().rank(1);
  second.waits[1].clear();  // the reader no longer waits for the first meeting
  expect_parts(joint({first, second}),
               {"no collective orders", "rank 1 launch 0 lane compute op 1"});
}

Schedule step_of(int32_t copies) {
  Draft draft;
  const Value x = draft.step("x"), sampled = draft.carried("sampled", 2, 4, copies);
  draft.op(Lane::compute, {.out = {x}});
  draft.op(Lane::compute, {.out = {sampled}, .in = {x}});
  return *compile(draft.program);
}

Schedule reader_of(int32_t copies) {  // uses no workspace
  Draft draft;
  draft.op(Lane::copy, {.out = {draft.carried("host", 3, 4, copies)},
                        .in = {draft.carried("sampled", 2, 4, copies)}});
  return *compile(draft.program);
}

// step 0, its reader, step 1, its reader, step 2, …: a reader names its step, a step the one
// before it and the last reader of what it overwrites.
TEST(CheckLaunchesTest, StepsAndReaders) {
  const Schedule step = step_of(2), reader = reader_of(2);
  std::vector<Launch> launches = {{&step, 0, {}},    {&reader, 0, {0}},  {&step, 1, {0}},
                                  {&reader, 1, {2}}, {&step, 2, {2, 1}}, {&reader, 2, {4}},
                                  {&step, 3, {4, 3}}};
  const auto report = check_launches(launches);
  ASSERT_TRUE(report.ok()) << report.status().to_string();
  EXPECT_GT(report->pairs, 6);

  launches[4].after = {2};  // overwrites copy 0 while step 0's reader may read it
  expect_parts(check_launches(launches).status(),
               {"two launches touch the same memory in no order", "first = launch 1 (step 0)",
                "second = launch 4 (step 2)", "buffer = sampled"});
  launches[4].after = {2, 1};
  launches[1].after = {};  // a reader that does not wait for its step
  expect_parts(check_launches(launches).status(), {"launch 0 (step 0)", "launch 1 (step 0)"});
}

TEST(CheckLaunchesTest, OneCopyHoldsTheNextStepBack) {
  const Schedule step = step_of(1), reader = reader_of(1);
  std::vector<Launch> launches = {{&step, 0, {}}, {&reader, 0, {0}}, {&step, 1, {0}}};
  expect_parts(check_launches(launches).status(), {"launch 1", "launch 2", "sampled"});
  launches[2].after = {1};  // and so step 0, through the reader
  EXPECT_TRUE(check_launches(launches).ok());
}

TEST(CheckLaunchesTest, TheWorkspaceIsOneArena) {
  const Schedule step = step_of(2);
  const std::vector<Launch> launches = {{&step, 0, {}}, {&step, 1, {}}};
  expect_parts(check_launches(launches).status(), {"buffer = workspace"});
}

TEST(CheckLaunchesTest, NamesAreOfEarlierLaunches) {
  const Schedule step = step_of(2);
  const std::vector<Launch> self = {{&step, 0, {0}}};
  expect_parts(check_launches(self).status(), {"isn't submitted before it", "names = 0"});
  expect_parts(check_joint_launches(std::vector<std::vector<Launch>>{self}).status(),
               {"isn't submitted before it"});
}

// Rank 1 reads rank 0's memory at the end of step 0; rank 0 writes it at the start of step 1.
TEST(CheckLaunchesTest, PeersMemoryAcrossSteps) {
  Draft writer, reader, quiet;
  writer.op(Lane::compute, {.out = {writer.carried("mailbox", 4)}});
  const Value at_peer = reader.carried("mailbox", 4, 4, 1, 0);
  reader.op(Lane::compute, {.in = {at_peer}});
  const Schedule write = *compile(writer.program), read = *compile(reader.program);
  const Schedule nothing = *compile(quiet.program), meet = collectives({{0, 1}});
  using Rows = std::vector<std::vector<Launch>>;
  expect_parts(check_joint_launches(Rows{{{&nothing, 0, {}}, {&write, 1, {0}}},
                                         {{&read, 0, {}}, {&nothing, 1, {0}}}})
                   .status(),
               {"no collective orders", "launch 1", "launch 0"});
  EXPECT_TRUE(check_joint_launches(
                  Rows{{{&meet, 0, {}}, {&write, 1, {0}}}, {{&read, 0, {}}, {&meet, 0, {0}}}})
                  .ok());
  // The meeting must wait for the read.
  EXPECT_FALSE(check_joint_launches(
                   Rows{{{&meet, 0, {}}, {&write, 1, {0}}}, {{&read, 0, {}}, {&meet, 0, {}}}})
                   .ok());
}

TEST(CheckLeasesTest, RowsChangeHandsWhenTheLastLaunchIsDone) {
  const Lease first{.resident = 0,
                    .first = 0,
                    .last = 16,
                    .holder = 1,
                    .first_launch = 3,
                    .last_launch = 7,
                    .done_when_granted = 1};
  Lease next{.resident = 0,
             .first = 8,
             .last = 24,
             .holder = 2,
             .first_launch = 8,
             .last_launch = 9,
             .done_when_granted = 7};
  EXPECT_TRUE(check_leases(std::vector<Lease>{next, first}).ok());
  next.done_when_granted = 6;
  expect_parts(check_leases(std::vector<Lease>{first, next}),
               {"rows were handed out before their last holder's launch was done", "rows = [8, 16)",
                "before = holder 1, launches [3, 7]", "done when granted = 6"});
  next.holder = 1;  // the same holder may go on
  EXPECT_TRUE(check_leases(std::vector<Lease>{first, next}).ok());
  next.holder = 2;
  next.resident = 1;
  EXPECT_TRUE(check_leases(std::vector<Lease>{first, next}).ok());
}

TEST(CheckLeasesTest, NoTwoHoldersAtOnce) {
  const Lease first{0, 0, 16, 1, 3, 7, 2};
  Lease other{0, 0, 4, 2, 7, 8, 7};
  expect_parts(check_leases(std::vector<Lease>{first, other}), {"two holders at once"});
  other = {0, 0, 4, 2, 3, 3, 2};
  expect_parts(check_leases(std::vector<Lease>{first, other}), {"two holders at once"});
  // An extension of the first one's lease counts, however it is written down.
  const Lease extension{0, 0, 16, 1, 8, 12, 2};
  const Lease late{0, 0, 4, 2, 10, 11, 9};
  expect_parts(check_leases(std::vector<Lease>{late, first, extension}), {"two holders at once"});
  expect_parts(check_leases(std::vector<Lease>{{0, 0, 1, 1, 5, 4, 0}}), {"ends before it starts"});
}

}  // namespace
}  // namespace braid::flow

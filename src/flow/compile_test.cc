#include "flow/compile.h"

#include <gtest/gtest.h>

#include "flow/test_kinds.h"

namespace braid::flow {
namespace {

using testing::Draft;

std::vector<int32_t> waits_of(const Schedule& schedule, int32_t op) {
  const Waits& waits = schedule.waits[static_cast<size_t>(op)];
  return {waits.begin(), waits.end()};
}
using Ops = std::vector<int32_t>;

TEST(CompileTest, OneLaneNeedsNoWait) {
  Draft draft;
  const Value a = draft.step("a"), b = draft.step("b");
  draft.op(Lane::compute, {.out = {a}});
  draft.op(Lane::compute, {.out = {b}, .in = {a}});
  const Schedule schedule = *compile(draft.program);
  EXPECT_EQ(schedule.wait_count(), 0);
  EXPECT_EQ(schedule.lanes_used(), 1);
  EXPECT_EQ(schedule.lanes[index_of(Lane::compute)], Ops({0, 1}));
}

// compute: 0 a · 1 b(a) · 3 d(b, c); aux: 2 c(a).
TEST(CompileTest, DiamondForksAndJoinsOnce) {
  Draft draft;
  const Value a = draft.step("a"), b = draft.step("b"), c = draft.step("c"), d = draft.step("d");
  draft.op(Lane::compute, {.out = {a}});
  draft.op(Lane::compute, {.out = {b}, .in = {a}});
  draft.op(Lane::aux, {.out = {c}, .in = {a}});
  draft.op(Lane::compute, {.out = {d}, .in = {b, c}});
  const Schedule schedule = *compile(draft.program);
  EXPECT_EQ(waits_of(schedule, 2), Ops({0}));  // not 1, which it does not read
  EXPECT_EQ(waits_of(schedule, 3), Ops({2}));
  EXPECT_EQ(schedule.wait_count(), 2);
  EXPECT_EQ(schedule.lanes[index_of(Lane::aux)], Ops({2}));
}

TEST(CompileTest, TheLastOfALaneStandsForAll) {
  Draft draft;
  const Value a = draft.step("a"), b = draft.step("b"), c = draft.step("c"), d = draft.step("d");
  draft.op(Lane::compute, {.out = {a}});
  draft.op(Lane::compute, {.out = {b}});
  draft.op(Lane::aux, {.out = {c}, .in = {a, b}});  // waits for 1 alone
  draft.op(Lane::aux, {.out = {d}, .in = {a, c}});  // its lane knows already
  const Schedule schedule = *compile(draft.program);
  EXPECT_EQ(waits_of(schedule, 2), Ops({1}));
  EXPECT_EQ(waits_of(schedule, 3), Ops());
}

// comm reads what aux made of what compute made: the wait for aux implies the one for compute.
TEST(CompileTest, WaitsThatOthersImplyAreLeftOut) {
  Draft draft;
  const Value a = draft.step("a"), b = draft.step("b"), c = draft.step("c");
  draft.op(Lane::compute, {.out = {a}});
  draft.op(Lane::aux, {.out = {b}, .in = {a}});
  draft.op(Lane::comm, {.out = {c}, .in = {a, b}});
  const Schedule schedule = *compile(draft.program);
  EXPECT_EQ(waits_of(schedule, 1), Ops({0}));
  EXPECT_EQ(waits_of(schedule, 2), Ops({1}));
}

TEST(CompileTest, AWriterWaitsForReadersOfAllLanes) {
  Draft draft;
  const Value x = draft.step("x"), y = draft.step("y"), z = draft.step("z");
  draft.op(Lane::compute, {.out = {x}});
  draft.op(Lane::aux, {.out = {y}, .in = {x}});
  draft.op(Lane::copy, {.out = {z}, .in = {x}});
  draft.op(Lane::compute, {.inout = {x}});  // the experts' in-place output
  const Schedule schedule = *compile(draft.program);
  EXPECT_EQ(waits_of(schedule, 3), Ops({1, 2}));
}

TEST(CompileTest, OtherRowsAndOtherReadersAreIndependent) {
  Draft draft;
  const Value x = draft.step("x", 8), y = draft.step("y", 8);
  const Value top = draft.rows(x, 0, 4), bottom = draft.rows(x, 4, 4);
  draft.op(Lane::compute, {.out = {top}});
  draft.op(Lane::aux, {.out = {bottom}});
  draft.op(Lane::aux, {.out = {draft.rows(y, 0, 4)}, .in = {bottom}});
  draft.op(Lane::compute, {.out = {draft.rows(y, 4, 4)}, .in = {top}});
  const Schedule schedule = *compile(draft.program);
  EXPECT_EQ(schedule.wait_count(), 0);
}

TEST(CompileTest, ColumnsOfTheSameRowsConflict) {
  Draft draft;
  const Value x = draft.step("x");
  draft.op(Lane::compute, {.out = {draft.columns(x, 0, 2)}});
  draft.op(Lane::aux, {.out = {draft.columns(x, 2, 2)}});
  EXPECT_EQ(compile(draft.program)->wait_count(), 1);
}

TEST(CompileTest, CountsAreReadWithTheirValues) {
  Draft draft;
  const Value count = draft.step("count", 1, 4), x = draft.carried("x", 0), y = draft.step("y");
  draft.op(Lane::aux, {.out = {count}});
  draft.op(Lane::compute, {.out = {y}, .in = {draft.counted(x, count)}});
  const Schedule schedule = *compile(draft.program);
  EXPECT_EQ(waits_of(schedule, 1), Ops({0}));
}

TEST(CompileTest, WeightsOrderNothing) {
  Draft draft;
  const Value w = draft.weight("w", 0);
  const Value a = draft.step("a"), b = draft.step("b");
  draft.op(Lane::compute, {.out = {a}, .in = {w}});
  draft.op(Lane::aux, {.out = {b}, .in = {w}});
  EXPECT_EQ(compile(draft.program)->wait_count(), 0);
}

TEST(CompileTest, RefusesToReadWhatNobodyWrote) {
  Draft draft;
  const Value x = draft.step("hidden", 8), y = draft.step("y");
  draft.op(Lane::compute, {.out = {draft.rows(x, 0, 3)}});
  draft.op(Lane::aux, {.out = {draft.rows(x, 5, 3)}});
  draft.op(Lane::compute, {.out = {y}, .in = {x}}, {2, Role::mlp});
  const auto gap = compile(draft.program);
  ASSERT_FALSE(gap.ok());
  EXPECT_EQ(gap.error().kind(), ErrorKind::internal);
  EXPECT_EQ(gap.error().message(), "an op reads rows that no earlier op wrote");
  const std::string text = gap.error().to_string();
  EXPECT_NE(text.find("layer 2 mlp: mix"), std::string::npos) << text;
  EXPECT_NE(text.find("buffer = hidden"), std::string::npos) << text;
  EXPECT_NE(text.find("rows = [0, 8)"), std::string::npos) << text;

  draft.program.ops.pop_back();
  draft.op(Lane::compute, {.out = {draft.rows(x, 2, 4)}});  // closes the gap
  draft.op(Lane::compute, {.out = {y}, .in = {x}});
  EXPECT_TRUE(compile(draft.program).ok());
}

TEST(CompileTest, RefusesToWriteAWeight) {
  Draft draft;
  draft.op(Lane::compute, {.out = {draft.weight("router", 0)}});
  const auto schedule = compile(draft.program);
  ASSERT_FALSE(schedule.ok());
  EXPECT_EQ(schedule.error().message(), "an op writes a weight");
  EXPECT_NE(schedule.error().to_string().find("buffer = router"), std::string::npos);
}

TEST(CompileTest, SummaryNamesCarriedRowsOnce) {
  Draft draft;
  const Value cache = draft.carried("cache", 3, 8, 2), w = draft.weight("w", 1);
  const Value x = draft.step("x");
  const Value slot = draft.rows(cache, 2, 2);
  draft.op(Lane::compute, {.out = {x}, .in = {slot, w}});
  draft.op(Lane::compute, {.out = {slot}, .in = {x}});
  draft.op(Lane::aux, {.in = {cache}});
  const std::vector<SummaryEntry> summary = compile(draft.program)->summary;
  ASSERT_EQ(summary.size(), 2u);
  EXPECT_EQ(summary[0].resident, 3);
  EXPECT_EQ(summary[0].copies, 2);
  EXPECT_EQ(summary[0].first, 2);
  EXPECT_EQ(summary[0].last, 4);
  EXPECT_TRUE(summary[0].read && summary[0].written);
  EXPECT_EQ(summary[1].last, 8);
  EXPECT_TRUE(summary[1].read && !summary[1].written);
}

TEST(CompileTest, IsPure) {
  Draft draft;
  const Value a = draft.step("a"), b = draft.step("b");
  draft.op(Lane::compute, {.out = {a}});
  draft.op(Lane::aux, {.out = {b}, .in = {a}}, {0, Role::head});
  EXPECT_EQ(compile(draft.program)->to_string(), compile(draft.program)->to_string());
}

TEST(ScheduleTest, PrintsLanesAndWaits) {
  Draft draft;
  const Value a = draft.step("a"), b = draft.step("b");
  draft.op(Lane::compute, {.out = {a}});
  draft.op(Lane::aux, {.out = {b}, .in = {a}}, {0, Role::shared_expert});
  EXPECT_EQ(compile(draft.program)->to_string(),
            "    0 compute step: mix → a [4, 4] i32\n"
            "    1 aux     layer 0 shared_expert: mix → b [4, 4] i32 | waits for 0 (compute mix)\n"
            "2 ops, 1 waits, workspace 512 bytes\n");
}

}  // namespace
}  // namespace braid::flow

#include "flow/overlap.h"

#include <gtest/gtest.h>

#include "flow/compile.h"
#include "flow/overlap_test_util.h"

namespace braid::flow {
namespace {

using testing::Draft;
using testing::overlaps_but;
using testing::reads_early;
using Ops = std::vector<int32_t>;

Ops following(const Schedule& schedule) {
  Ops ops;
  for (size_t i = 0; i < schedule.successions.size(); ++i) {
    if (schedule.successions[i].follows) ops.push_back(static_cast<int32_t>(i));
  }
  return ops;
}

Schedule compiled(const Draft& draft, const KernelOverlaps& overlaps) {
  return *compile(draft.program, nullptr, overlaps);
}

TEST(OverlapTest, AnOpFollowsTheOneBeforeItOnItsLane) {
  Draft draft;
  const Value x = draft.carried("x", 0), y = draft.carried("y", 1);
  draft.op(Lane::compute, {.inout = {x}});
  draft.op(Lane::aux, {.inout = {y}});
  draft.op(Lane::compute, {.inout = {x}});
  draft.op(Lane::aux, {.inout = {y}});
  draft.op(Lane::compute, {.inout = {x}});
  EXPECT_EQ(following(compiled(draft, overlaps_but())), Ops({2, 3, 4}));
  EXPECT_EQ(following(compiled(draft, nullptr)), Ops());
  EXPECT_EQ(following(*compile(draft.program)), Ops());
}

TEST(OverlapTest, NotNextToAWaitForAnotherLane) {
  Draft draft;
  const Value x = draft.carried("x", 0), y = draft.carried("y", 1);
  draft.op(Lane::compute, {.inout = {x}});
  draft.op(Lane::compute, {.inout = {x}});  // follows, though another lane waits for it
  draft.op(Lane::aux, {.inout = {y}, .in = {x}});
  draft.op(Lane::compute, {.in = {y}});  // waits
  draft.op(Lane::compute, {.in = {y}});
  EXPECT_EQ(following(compiled(draft, overlaps_but())), Ops({1, 4}));
}

TEST(OverlapTest, KernelsSayWhatTheyAllow) {
  Draft draft;
  const Value x = draft.carried("x", 0);
  for (int i = 0; i < 5; ++i) draft.op(Lane::compute, {.inout = {x}});
  const auto with = [&](KernelOverlap overlap) {
    return following(compiled(draft, overlaps_but({{2, overlap}})));
  };
  EXPECT_EQ(with(kAwaits), Ops({1, 2, 3, 4}));
  EXPECT_EQ(with(kCanBeFollowed), Ops({1, 3, 4}));  // a library's kernel, launched plainly
  EXPECT_EQ(with({}), Ops({1, 4}));                 // a copy
}

TEST(OverlapTest, NothingOnLanesOfCollectivesAndCopies) {
  Draft draft;
  const Value x = draft.carried("x", 0), y = draft.carried("y", 1);
  draft.op(Lane::comm, {.inout = {x}});
  draft.meet(0, 1, {.inout = {x}});
  draft.op(Lane::comm, {.inout = {x}});
  draft.op(Lane::comm, {.inout = {x}});
  draft.op(Lane::copy, {.inout = {y}});
  draft.op(Lane::copy, {.inout = {y}});
  EXPECT_EQ(following(compiled(draft, overlaps_but())), Ops());
}

TEST(OverlapTest, OnlyWeightsAreReadEarly) {
  Draft draft;
  const Value x = draft.carried("x", 0), w = draft.weight("w", 1), count = draft.step("n", 1, 4);
  const Value carried = draft.carried("cache", 2);
  draft.op(Lane::compute, {.inout = {x}, .out = {count}, .in = {w}});
  draft.op(Lane::compute, {.inout = {x}, .in = {w}});
  draft.op(Lane::compute, {.inout = {x}, .in = {carried}});
  draft.op(Lane::compute, {.inout = {x}, .in = {w, carried}});
  draft.op(Lane::compute, {.inout = {x}, .in = {draft.counted(w, count)}});
  draft.op(Lane::compute, {.inout = {x}});
  const auto early = [&](const KernelOverlap& overlap) {
    const Schedule schedule = compiled(
        draft,
        overlaps_but({{0, overlap}, {1, overlap}, {2, overlap}, {3, overlap}, {4, overlap}}));
    Ops ops;
    for (size_t i = 0; i < schedule.successions.size(); ++i) {
      if (schedule.successions[i].constant_weights) ops.push_back(static_cast<int32_t>(i));
    }
    return ops;
  };
  using Operand = testing::MixOperand;
  EXPECT_EQ(early(reads_early({Operand::in0})), Ops({1, 3}));  // 0 follows none
  EXPECT_EQ(early(reads_early({Operand::in0, Operand::in1})), Ops({1}));
  EXPECT_EQ(early(reads_early({Operand::inout0})), Ops());
  EXPECT_EQ(early(kAwaits), Ops());
}

// Behind an op that lets its successor start only when all before it have ended: also what that op
// doesn't write.
TEST(OverlapTest, SoIsWhatEndedBeforeALateRelease) {
  Draft draft;
  const Value lists = draft.step("lists", 4), h = draft.step("h"), y = draft.carried("y", 0);
  draft.op(Lane::compute, {.out = {lists}});
  draft.op(Lane::compute, {.out = {h}, .in = {lists}});
  draft.op(Lane::compute, {.inout = {y}, .in = {h, lists}});
  draft.op(Lane::compute, {.inout = {y}, .in = {h, lists}});
  using Operand = testing::MixOperand;
  const auto early = [&](KernelOverlap front, std::initializer_list<size_t> operands) {
    const Schedule schedule =
        compiled(draft, overlaps_but({{1, front}, {2, reads_early(operands)}}));
    return schedule.successions[2].constant_weights;
  };
  KernelOverlap late = kAwaits;
  late.releases_late = true;
  EXPECT_TRUE(early(late, {Operand::in1}));
  EXPECT_FALSE(early(kAwaits, {Operand::in1}));
  EXPECT_FALSE(early(late, {Operand::in0, Operand::in1}));  // the op in front writes h
}

TEST(OverlapTest, ASchedulePrintsWhatFollows) {
  Draft draft;
  const Value x = draft.carried("x", 0), w = draft.weight("w", 1);
  draft.op(Lane::compute, {.inout = {x}});
  draft.op(Lane::compute, {.inout = {x}});
  draft.op(Lane::compute, {.inout = {x}, .in = {w}});
  const KernelOverlaps overlaps = overlaps_but({{2, reads_early({testing::MixOperand::in0})}});
  EXPECT_EQ(compiled(draft, overlaps).to_string(),
            "    0 compute step: mix → x [4, 4] i32\n"
            "    1 compute step: mix → x [4, 4] i32 | follows\n"
            "    2 compute step: mix → x [4, 4] i32 | follows, weights first\n"
            "3 ops, 0 waits, 2 follow, workspace 0 bytes\n");
}

}  // namespace
}  // namespace braid::flow

#include "flow/rewrite.h"

#include <gtest/gtest.h>

#include "flow/check/check.h"
#include "flow/compile.h"

#include "flow/test_kinds.h"

namespace braid::flow {
namespace {

using testing::Draft;
using testing::MixOperand;

std::vector<uint64_t> seeds(const Program& program) {  // an op's seed is its first index + 1
  std::vector<uint64_t> found;
  for (const Op& op : program.ops) found.push_back(op.desc.as<testing::Mix>().seed);
  return found;
}

// 0 x · 1 s(x) · 2 s(s) · 3 y(x) · 4 y(y) · 5 join(y, s)
Draft fork() {
  Draft draft;
  const Value x = draft.step("x"), y = draft.step("y"), s = draft.step("s");
  draft.op(Lane::compute, {.out = {x}});
  draft.op(Lane::compute, {.out = {s}, .in = {x}});
  draft.op(Lane::compute, {.inout = {s}});
  draft.op(Lane::compute, {.out = {y}, .in = {x}});
  draft.op(Lane::compute, {.inout = {y}});
  draft.op(Lane::compute, {.inout = {y}, .in = {s}});
  return draft;
}

TEST(RewriterTest, MovesOpsBeforeTheirJoin) {
  const Draft draft = fork();
  Rewriter rewrite(draft.program);
  rewrite.move({1, 2}, Lane::aux, 5);
  EXPECT_EQ(rewrite.rewrites(), 2);
  const auto moved = std::move(rewrite).finish();
  ASSERT_TRUE(moved.ok()) << moved.status().to_string();
  EXPECT_EQ(seeds(*moved), (std::vector<uint64_t>{1, 4, 5, 2, 3, 6}));
  EXPECT_EQ(moved->ops[3].lane, Lane::aux);
  EXPECT_EQ(moved->ops[5].lane, Lane::compute);
}

TEST(RewriterTest, NoEditChangesNothing) {
  const Draft draft = fork();
  const auto same = Rewriter(draft.program).finish();
  EXPECT_EQ(seeds(*same), seeds(draft.program));
}

TEST(RewriterTest, RefusesToPassADependency) {
  const Draft draft = fork();
  Rewriter early(draft.program);
  early.move({1, 2}, Lane::aux, 0);  // before x is written
  const auto refused = std::move(early).finish();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind(), ErrorKind::internal);
  EXPECT_NE(refused.error().to_string().find("now second = step: mix → x"), std::string::npos)
      << refused.error().to_string();

  Rewriter late(draft.program);
  late.move({0}, Lane::compute, 4);  // x after its readers
  EXPECT_FALSE(std::move(late).finish().ok());
}

TEST(RewriterTest, SeveralMovesAddUp) {
  const Draft draft = fork();
  Rewriter rewrite(draft.program);
  rewrite.move({2}, Lane::aux, 5);
  rewrite.move({1}, Lane::aux, 2);
  const auto moved = std::move(rewrite).finish();
  ASSERT_TRUE(moved.ok());
  EXPECT_EQ(seeds(*moved), (std::vector<uint64_t>{1, 4, 5, 2, 3, 6}));
}

// 0 x · 1 y(x) · 2 z(y, whole w) · 3 reads z. Ten rows; w is a weight.
struct Chain : Draft {
  Value x = step("x", 10), y = step("y", 10), z = step("z", 10), w = weight("w", 0);
  Chain() {
    op(Lane::compute, {.out = {x}});
    op(Lane::compute, {.out = {y}, .in = {x}});
    op(Lane::compute, {.out = {z}, .in = {y, {}, w}});
    op(Lane::comm, {.out = {step("end", 10)}, .in = {z}});
  }
};

constexpr std::array<RowRange, 3> kRanges = {{{0, 4}, {4, 8}, {8, 10}}};

TEST(RewriterTest, SplitsOpsAndIssuesTheirPartsInTurn) {
  const Chain chain;
  Rewriter rewrite(chain.program);
  rewrite.split({1, 2}, kRanges);
  EXPECT_EQ(rewrite.rewrites(), 2);
  const Program split = std::move(rewrite).finish().value();
  EXPECT_EQ(seeds(split), (std::vector<uint64_t>{1, 2, 3, 2, 3, 2, 3, 4}));
  for (size_t part = 0; part < kRanges.size(); ++part) {
    const Op& op = split.ops[2 + 2 * part];
    const ValueInfo& out = split.info(op.operands[MixOperand::out0]);
    EXPECT_EQ(out.first_row, kRanges[part].first);
    EXPECT_EQ(out.rows, kRanges[part].last - kRanges[part].first);
    EXPECT_EQ(out.region_rows, out.rows);
    EXPECT_EQ(out.offset, out.first_row * 16);
    EXPECT_EQ(split.info(op.operands[MixOperand::in0]).first_row, out.first_row);  // y follows
    EXPECT_EQ(op.operands[MixOperand::in2], chain.w);  // the weight is whole
  }
  EXPECT_TRUE(compile(split).ok());
}

TEST(RewriterTest, RowsOfWordsAreSplitByTheirWords) {
  Draft draft;
  const Value words = draft.add({.label = "words", .rows = 40, .row_bytes = 4});
  ValueInfo view = draft.program.info(words);  // [10, 4] in a column of words
  view.rows = 10;
  view.cols = 4;
  view.stride = 16;
  draft.program.values.push_back(view);
  const Value matrix{static_cast<int32_t>(draft.program.values.size()) - 1};
  draft.op(Lane::compute, {.out = {matrix}});
  Rewriter rewrite(draft.program);
  rewrite.split({0}, kRanges);
  const Program split = std::move(rewrite).finish().value();
  const ValueInfo& last = split.info(split.ops[2].operands[MixOperand::out0]);
  EXPECT_EQ(last.first_row, 32);
  EXPECT_EQ(last.region_rows, 8);
  EXPECT_EQ(last.offset, 8 * 16);
}

TEST(RewriterTest, WhatHasACountOrNoRowsOfItsOwnCantBeSplit) {
  Chain chain;
  EXPECT_EQ(splittable_rows(chain.program, chain.program.ops[2]), 10);
  const Value counted = chain.counted(chain.z, chain.step("count", 1, 4));
  chain.program.ops[2].operands[MixOperand::out0] = counted;
  EXPECT_EQ(splittable_rows(chain.program, chain.program.ops[2]), std::nullopt);
  chain.program.ops[2].operands[MixOperand::out0] =
      chain.rows(chain.z, 0, 5);  // other rows than its input
  EXPECT_EQ(splittable_rows(chain.program, chain.program.ops[2]), std::nullopt);
}

TEST(RewriterTest, PartsThatDependOnEachOtherAreRefused) {
  Draft draft;  // writes rows of what every part reads whole
  const Value x = draft.step("x", 10);
  draft.op(Lane::compute, {.out = {x}});
  draft.op(Lane::compute, {.inout = {x}, .in = {{}, {}, x}});
  Rewriter rewrite(draft.program);
  rewrite.split({1}, kRanges);
  const auto refused = std::move(rewrite).finish();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().message(), "parts of a split op depend on each other");
}

TEST(RewriterTest, ASplitDoesNotPassADependency) {
  Draft draft;
  const Value x = draft.step("x", 10), y = draft.step("y", 10), z = draft.step("z", 10);
  draft.op(Lane::compute, {.out = {x}});
  draft.op(Lane::compute, {.out = {y}, .in = {{}, {}, x}});  // reads all of x
  draft.op(Lane::compute, {.out = {z}, .in = {y}});
  Rewriter rewrite(draft.program);
  rewrite.split({0, 1}, kRanges);  // the first part of y would read rows of x not written yet
  EXPECT_FALSE(std::move(rewrite).finish().ok());
}

// 1 y(x) is made of parts, with an op in between that only rows of y's first part have.
TEST(RewriterTest, ReplacesOpsByPartsAndNewOps) {
  const Chain chain;
  Rewriter rewrite(chain.program);
  Op extra = chain.program.ops[2];
  extra.operands[MixOperand::in0] = rewrite.rows_of(chain.y, {0, 4});
  extra.operands[MixOperand::out0] = rewrite.placed(
      rewrite.rows_of(chain.z, {0, 4}), {.axes = {Shard::replicated, Shard::row_sharded}});
  const int32_t made = rewrite.make(extra, 1);
  rewrite.replace({1}, {rewrite.part(1, {0, 4}), made, rewrite.part(1, {4, 10})});
  EXPECT_EQ(rewrite.rewrites(), 1);
  const Program program = std::move(rewrite).finish().value();
  EXPECT_EQ(seeds(program), (std::vector<uint64_t>{1, 2, 3, 2, 3, 4}));
  EXPECT_EQ(program.info(program.ops[2].operands[MixOperand::out0]).placement.axes[1],
            Shard::row_sharded);
  EXPECT_TRUE(compile(program).ok());
}

TEST(RewriterTest, ANewOpKeepsItsPlaceAmongWhatItTouches) {
  const Chain chain;
  for (const int32_t behind : {1, 0}) {  // it reads y: as if before y was written, that's a swap
    Rewriter rewrite(chain.program);
    const int32_t made = rewrite.make(chain.program.ops[2], behind);
    rewrite.replace({1}, {rewrite.part(1, {0, 10}), made});
    EXPECT_EQ(std::move(rewrite).finish().ok(), behind == 1) << behind;
  }
}

TEST(RewriterTest, AnOpIsNotItsOwnAnchor) {
  const Draft draft = fork();
  Rewriter rewrite(draft.program);
  EXPECT_DEATH(rewrite.move({1, 2}, Lane::aux, 2), "before itself");
}

// 0 x · 1 s(x) · 2 y(x) · 3 out(y, s)
Draft two_branches() {
  Draft draft;
  const Value x = draft.step("x"), s = draft.step("s"), y = draft.step("y");
  const Value out = draft.step("out");
  draft.op(Lane::compute, {.out = {x}});
  draft.op(Lane::compute, {.out = {s}, .in = {x}});
  draft.op(Lane::compute, {.out = {y}, .in = {x}});
  draft.op(Lane::compute, {.out = {out}, .in = {y, s}});
  return draft;
}

TEST(RewriterTest, LeavesOpsOutWhereNothingNeedsThem) {
  const Draft draft = two_branches();
  const Op& join = draft.program.ops[3];
  Rewriter rewrite(draft.program);
  rewrite.remove({1});
  const Value wide = rewrite.like(join.operands[MixOperand::in0], 6, 8);
  const Value tail = rewrite.rows_of(wide, {4, 6});
  rewrite.replace(2, draft.program.ops[2].desc,
                  {{MixOperand::out0, wide},
                   {MixOperand::in0, draft.program.ops[2].operands[MixOperand::in0]}});
  rewrite.replace(3, join.desc,
                  {{MixOperand::out0, join.operands[MixOperand::out0]}, {MixOperand::in0, tail}});
  EXPECT_EQ(rewrite.rewrites(), 3);
  const auto left = std::move(rewrite).finish();
  ASSERT_TRUE(left.ok()) << left.status().to_string();
  EXPECT_EQ(seeds(*left), (std::vector<uint64_t>{1, 3, 4}));
  const ValueInfo& read = left->info(left->ops[2].operands[MixOperand::in0]);
  EXPECT_EQ(read.first_row, 4);
  EXPECT_EQ(read.rows, 2);
  EXPECT_EQ(left->buffer_of(left->ops[1].operands[MixOperand::out0]).bytes(), 6 * 8 * 4);
  const auto compiled = compile(*left, nullptr);
  ASSERT_TRUE(compiled.ok());
  EXPECT_TRUE(check_schedule(*compiled).ok());
}

TEST(RewriterTest, RefusesToLeaveOutWhatIsStillRead) {
  const Draft draft = two_branches();
  Rewriter rewrite(draft.program);
  rewrite.remove({1});
  const auto refused = std::move(rewrite).finish();
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().to_string().find("buffer = s"), std::string::npos)
      << refused.error().to_string();
}

}  // namespace
}  // namespace braid::flow

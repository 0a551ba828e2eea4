#include "flow/rewrite.h"

#include <gtest/gtest.h>

#include "flow/test_kinds.h"

namespace braid::flow {
namespace {

using testing::Draft;

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

TEST(RewriterTest, AnOpIsNotItsOwnAnchor) {
  const Draft draft = fork();
  Rewriter rewrite(draft.program);
  EXPECT_DEATH(rewrite.move({1, 2}, Lane::aux, 2), "before itself");
}

}  // namespace
}  // namespace braid::flow

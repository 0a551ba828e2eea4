#include "flow/workspace.h"

#include <gtest/gtest.h>

#include "flow/test_kinds.h"

namespace braid::flow {
namespace {

using testing::Draft;

int64_t offset_of(const Schedule& schedule, Value value) {
  return schedule.buffers[static_cast<size_t>(schedule.program.info(value).buffer)].offset;
}

// A chain a → b → c → … needs the memory of two neighbours, whatever its length.
TEST(WorkspaceTest, AChainTakesTurnsInTwoPlaces) {
  Draft draft;
  std::vector<Value> links = {draft.step("link", 4, 256)};
  draft.op(Lane::compute, {.out = {links[0]}});
  for (int i = 1; i < 10; ++i) {
    links.push_back(draft.step("link", 4, 256));
    draft.op(Lane::compute, {.out = {links.back()}, .in = {links[links.size() - 2]}});
  }
  const Schedule schedule = *compile(draft.program);
  EXPECT_EQ(schedule.workspace_bytes, 2 * 4 * 256);
  EXPECT_EQ(offset_of(schedule, links[0]), offset_of(schedule, links[2]));
  EXPECT_NE(offset_of(schedule, links[0]), offset_of(schedule, links[1]));
}

// What the other lane may still read is not reused, though it comes earlier in the Program.
TEST(WorkspaceTest, OtherLanesKeepTheirMemory) {
  Draft draft;
  const Value a = draft.step("a"), b = draft.step("b"), c = draft.step("c"), d = draft.step("d");
  draft.op(Lane::compute, {.out = {a}});
  draft.op(Lane::aux, {.out = {b}, .in = {a}});
  draft.op(Lane::compute, {.out = {c}});  // aux may still read a
  draft.op(Lane::compute, {.inout = {c}, .in = {b}});
  draft.op(Lane::compute, {.out = {d}});  // aux has ended: a is free
  const Schedule schedule = *compile(draft.program);
  EXPECT_NE(offset_of(schedule, c), offset_of(schedule, a));
  EXPECT_EQ(offset_of(schedule, d), offset_of(schedule, a));
  EXPECT_EQ(schedule.workspace_bytes, 3 * 256);
}

TEST(WorkspaceTest, ScratchHasAPlaceOfItsOwn) {
  Draft draft;
  const Value a = draft.step("a", 1, 300), b = draft.step("b", 1, 4);
  draft.op(Lane::compute, {.out = {a}}, {}, 1000);
  draft.op(Lane::compute, {.out = {b}, .in = {a}}, {}, 1000);
  const auto scratch = [](const Op& op, std::span<const Type>) {
    return op.desc.as<testing::Mix>().scratch_bytes;
  };
  const Schedule schedule = *compile(draft.program, scratch);
  EXPECT_EQ(schedule.scratch[0].bytes, 1000);
  EXPECT_EQ(schedule.scratch[0].offset, 512);  // behind a
  EXPECT_EQ(offset_of(schedule, b), 512);      // where the first scratch was
  EXPECT_EQ(schedule.scratch[1].offset, 768);
  EXPECT_EQ(schedule.workspace_bytes, 512 + 256 + 1024);
  EXPECT_EQ(compile(draft.program)->workspace_bytes, 512 + 256);
}

TEST(WorkspaceTest, OffsetsAreAligned) {
  Draft draft;
  for (int64_t bytes : {4, 260, 516}) {
    const Value value = draft.step("odd", 1, bytes);
    draft.op(Lane::compute, {.out = {value}});
    draft.op(Lane::aux, {.in = {value}});  // all stay alive
  }
  const Schedule schedule = *compile(draft.program);
  for (const Extent& place : schedule.buffers) EXPECT_EQ(place.offset % kWorkspaceAlignment, 0);
  EXPECT_EQ(schedule.workspace_bytes, 256 + 512 + 768);
}

TEST(WorkspaceTest, ResidentsAndUnusedBuffersHaveNoPlace) {
  Draft draft;
  const Value unused = draft.step("unused"), state = draft.carried("state", 0);
  draft.op(Lane::compute, {.inout = {state}});
  const Schedule schedule = *compile(draft.program);
  EXPECT_EQ(offset_of(schedule, unused), -1);
  EXPECT_EQ(offset_of(schedule, state), -1);
  EXPECT_EQ(schedule.workspace_bytes, 0);
}

// Pieces are forgotten when nothing can meet them any more, whichever lanes are in use.
TEST(WorkspaceTest, ALaneUsedOnceAtTheEndHoldsNothingBack) {
  Draft draft;
  Value x = draft.step("x");
  draft.op(Lane::compute, {.out = {x}});
  for (int i = 0; i < 100; ++i) {
    const Value y = draft.step("y");
    draft.op(Lane::compute, {.out = {y}, .in = {x}});
    x = y;
  }
  draft.op(Lane::copy, {.out = {draft.carried("sampled", 0)}, .in = {x}});
  EXPECT_EQ(compile(draft.program)->workspace_bytes, 2 * 256);
}

}  // namespace
}  // namespace braid::flow

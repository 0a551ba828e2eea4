#include "flow/check/check.h"

#include <gtest/gtest.h>

#include "flow/compile.h"
#include "flow/test_kinds.h"

namespace braid::flow {
namespace {

using testing::Draft;

std::string error_of(const Status& status) {
  if (status.ok()) return "ok";
  EXPECT_EQ(status.error().kind(), ErrorKind::internal);
  return status.error().to_string();
}
std::string error_of(const Schedule& schedule) {
  return error_of(check_schedule(schedule).status());
}

void expect_parts(const std::string& text, std::initializer_list<std::string_view> parts) {
  for (const std::string_view part : parts) {
    EXPECT_NE(text.find(part), std::string::npos) << "'" << part << "' in: " << text;
  }
}

// compute: 0 hidden · 1 experts(hidden) · 3 join; aux: 2 shared(hidden).
struct Fork {
  Draft draft;
  Value hidden = draft.step("hidden"), experts = draft.step("experts");
  Value shared = draft.step("shared"), state = draft.carried("state", 0, 8);

  Fork() {
    draft.op(Lane::compute, {.out = {hidden}}, {2, Role::mlp});
    draft.op(Lane::compute, {.out = {experts}, .in = {hidden}}, {2, Role::experts});
    draft.op(Lane::aux, {.out = {shared}, .in = {hidden}}, {2, Role::shared_expert});
    draft.op(Lane::compute, {.inout = {experts, draft.rows(state, 0, 2)}, .in = {shared}},
             {2, Role::residual});
  }
  Schedule compiled() const { return *compile(draft.program); }
};

TEST(CheckTest, ReportsWhatItProved) {
  const auto report = check_schedule(Fork().compiled());
  ASSERT_TRUE(report.ok()) << report.status().to_string();
  EXPECT_EQ(report->ops, 4);
  // hidden twice, experts twice (its writer, and nobody reads), shared once.
  EXPECT_EQ(report->pairs, 4);
  EXPECT_EQ(report->collectives, 0);
}

// The fork's wait removed: the error names the hidden state's producer.
TEST(CheckTest, MissingForkWaitNamesTheProducer) {
  Schedule schedule = Fork().compiled();
  schedule.waits[2].clear();
  expect_parts(error_of(schedule),
               {"two ops touch the same memory in no order",
                "first in the Program = op 0 (layer 2 mlp: mix → hidden [4, 4] i32)",
                "second = op 2 (layer 2 shared_expert: mix → shared", "lanes = compute, aux",
                "buffer = hidden", "rows = [0, 4)"});
}

TEST(CheckTest, MissingJoin) {
  Schedule schedule = Fork().compiled();
  schedule.waits[3].clear();
  expect_parts(error_of(schedule),
               {"in no order", "op 2", "op 3", "lanes = aux, compute", "buffer = shared"});
}

TEST(CheckTest, OrderAgainstTheProgram) {
  Schedule schedule = Fork().compiled();
  std::swap(schedule.lanes[0][0], schedule.lanes[0][1]);
  expect_parts(error_of(schedule), {"against program order", "op 0", "op 1", "buffer = hidden"});
}

TEST(CheckTest, WaitsInACircle) {
  Schedule schedule = Fork().compiled();
  schedule.waits[0].push_back(2);
  expect_parts(error_of(schedule),
               {"form a cycle", "lane compute op 0", "lane aux op 2", " waits for "});
}

TEST(CheckTest, BufferOnALiveOne) {
  Schedule schedule = Fork().compiled();
  const auto place = [&](int buffer) -> Extent& {
    return schedule.buffers[static_cast<size_t>(buffer)];
  };
  place(2) = place(1);  // shared onto experts, on two lanes
  expect_parts(error_of(schedule), {"in no order", "buffer = experts, shared"});
  schedule = Fork().compiled();
  place(2) = place(0);  // shared over its own input
  expect_parts(error_of(schedule),
               {"an op has two operands in the same memory", "op = op 2", "hidden", "shared"});
}

TEST(CheckTest, BufferOnALiveOneOfTheSameLane) {
  Draft draft;
  const Value x = draft.step("x"), y = draft.step("y");
  draft.op(Lane::compute, {.out = {x}}, {0, Role::mlp});
  draft.op(Lane::compute, {.out = {y}}, {0, Role::router});
  draft.op(Lane::compute, {.in = {x}}, {0, Role::residual});
  Schedule schedule = *compile(draft.program);
  schedule.buffers[1] = schedule.buffers[0];  // all is ordered, and yet the last op reads y
  expect_parts(error_of(schedule), {"a step buffer was overwritten while it is in use",
                                    "overwritten by = op 1 (layer 0 router", "as = y",
                                    "op = op 2 (layer 0 residual", "buffer = x", "rows = [0, 4)"});
}

// The second half of x is written after other memory was put between: not one buffer any more.
TEST(CheckTest, ABufferIsNotInterruptedBetweenItsWrites) {
  Draft draft;
  const Value x = draft.step("x"), y = draft.step("y");
  draft.op(Lane::compute, {.out = {draft.columns(x, 0, 2)}});
  draft.op(Lane::compute, {.out = {y}});
  draft.op(Lane::compute, {.out = {draft.columns(x, 2, 2)}});
  draft.op(Lane::compute, {.inout = {y}});
  draft.op(Lane::compute, {.in = {x}});
  Schedule schedule = *compile(draft.program);
  EXPECT_EQ(error_of(schedule), "ok");
  schedule.buffers[1] = schedule.buffers[0];
  expect_parts(error_of(schedule), {"overwritten while it is in use", "op 1", "op 2"});
}

TEST(CheckTest, ScratchIsMemoryToo) {
  Draft draft;
  const Value x = draft.step("x");
  draft.op(Lane::compute, {.out = {x}}, {}, 64);
  draft.op(Lane::aux, {}, {}, 64);
  draft.op(Lane::compute, {.in = {x}});
  Schedule schedule = *compile(
      draft.program, [](const Op& op, auto) { return op.desc.as<testing::Mix>().scratch_bytes; });
  EXPECT_EQ(error_of(schedule), "ok");
  const Extent kept = schedule.scratch[1];
  schedule.scratch[1] = schedule.scratch[0];
  expect_parts(error_of(schedule), {"in no order", "buffer = scratch", "rows = bytes [0, 64)"});
  schedule.scratch[1] = kept;
  schedule.scratch[1].offset = schedule.workspace_bytes - 32;
  expect_parts(error_of(schedule), {"a place reaches outside the workspace", "buffer = scratch"});
}

TEST(CheckTest, PlacesAreInTheWorkspace) {
  Schedule schedule = Fork().compiled();
  schedule.workspace_bytes -= 250;
  expect_parts(error_of(schedule), {"a place reaches outside the workspace", "buffer = shared"});
  schedule = Fork().compiled();
  schedule.buffers[0].offset = -1;
  expect_parts(error_of(schedule), {"a step buffer has no place", "buffer = hidden"});
  schedule = Fork().compiled();
  schedule.buffers[0].bytes = 32;
  expect_parts(error_of(schedule), {"a place reaches outside", "bytes = 64"});
}

TEST(CheckTest, ResidentsAreOneMemoryWhateverNamesThem) {
  Draft draft;
  const Value a = draft.carried("cache", 7), b = draft.carried("cache again", 7);
  draft.op(Lane::compute, {.inout = {a}});
  draft.op(Lane::aux, {.inout = {b}});
  const Schedule schedule = *compile(draft.program);  // takes two buffers for two memories
  expect_parts(error_of(schedule), {"in no order", "cache"});

  Draft other;
  other.op(Lane::compute, {.inout = {other.carried("cache", 7)}});
  other.op(Lane::aux, {.inout = {other.carried("a peer's", 7, 4, 1, /*owner=*/1)}});
  EXPECT_EQ(error_of(*compile(other.program)), "ok");
}

TEST(CheckTest, ReadsOfUnwrittenRows) {
  Schedule schedule = Fork().compiled();
  schedule.program.values[0].region_rows = 3;  // op 0 declares less than op 1 reads
  schedule.program.values[0].rows = 3;
  schedule.program.values.push_back(schedule.program.values[0]);
  schedule.program.values.back().rows = schedule.program.values.back().region_rows = 4;
  const Value whole{static_cast<int32_t>(schedule.program.values.size()) - 1};
  schedule.program.ops[1].operands[testing::MixOperand::in0] = whole;
  expect_parts(error_of(schedule), {"an op reads rows that no earlier op wrote", "op = op 1",
                                    "buffer = hidden", "rows = [3, 4)"});
}

TEST(CheckTest, WritesOfWeights) {
  Draft draft;
  const Value w = draft.carried("w", 0);
  draft.op(Lane::aux, {.out = {w}});
  Schedule schedule = *compile(draft.program);
  schedule.program.buffers[0].lifetime = Lifetime::weight;
  expect_parts(error_of(schedule), {"an op writes a weight", "lane = aux", "buffer = w"});
}

TEST(CheckTest, SummariesAreTrue) {
  Schedule schedule = Fork().compiled();
  schedule.summary[0].written = false;
  expect_parts(error_of(schedule), {"a summary differs", "buffer = state", "rows = [0, 2)",
                                    "written = true (summary: false)"});
  schedule = Fork().compiled();
  schedule.summary[0].last = 3;
  expect_parts(error_of(schedule), {"a summary differs", "rows = [2, 3)", "read = false"});
  schedule = Fork().compiled();
  schedule.summary.clear();
  expect_parts(error_of(schedule), {"a summary differs"});
  schedule = Fork().compiled();
  schedule.summary[0].resident = 5;
  expect_parts(error_of(schedule), {"a summary names a resident", "resident = 5"});
  schedule = Fork().compiled();
  schedule.summary[0].copies = 2;
  expect_parts(error_of(schedule), {"a summary names a resident", "copies = 2"});
}

TEST(CheckTest, MalformedSchedules) {
  Schedule schedule = Fork().compiled();
  schedule.lanes[0].pop_back();
  expect_parts(error_of(schedule), {"isn't issued exactly once", "issued = 0"});
  schedule = Fork().compiled();
  schedule.lanes[1].push_back(2);
  expect_parts(error_of(schedule), {"isn't issued exactly once", "issued = 2"});
  schedule = Fork().compiled();
  schedule.program.ops[2].lane = Lane::copy;
  expect_parts(error_of(schedule), {"stands on another lane", "its lane = copy"});
  schedule = Fork().compiled();
  schedule.waits[1].push_back(9);
  expect_parts(error_of(schedule), {"malformed: a wait", "op = 1"});
  schedule = Fork().compiled();
  schedule.program.ops[1].operands[testing::MixOperand::inout0].id = 99;
  expect_parts(error_of(schedule), {"malformed: an op's operand", "value = 99"});
  schedule = Fork().compiled();
  schedule.program.values[1].region_rows = 5;
  expect_parts(error_of(schedule), {"a Region lies outside its buffer", "rows = [0, 5)"});
  schedule = Fork().compiled();
  schedule.program.values[1].offset = 16;
  expect_parts(error_of(schedule), {"a view reaches outside the Region", "view bytes = [16, 80)"});
  schedule = Fork().compiled();
  schedule.scratch.pop_back();
  expect_parts(error_of(schedule), {"malformed: scratch"});
  schedule = Fork().compiled();
  schedule.program.buffers[3].copies = 3;
  expect_parts(error_of(schedule), {"a resident's number or copies", "buffer = state"});
}

}  // namespace
}  // namespace braid::flow

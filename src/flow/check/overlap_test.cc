// Planted overlaps that are not allowed: the checker refuses each and names the op.
#include <gtest/gtest.h>

#include <random>

#include "flow/check/check.h"
#include "flow/compile.h"
#include "flow/overlap_test_util.h"
#include "flow/random_program_test_util.h"

namespace braid::flow {
namespace {

using testing::Draft;
using testing::overlaps_but;
using testing::reads_early;
using Operand = testing::MixOperand;

std::string error_of(const Schedule& schedule) {
  const auto report = check_schedule(schedule);
  return report.ok() ? "ok" : report.error().to_string();
}

void expect_parts(const std::string& text, std::initializer_list<std::string_view> parts) {
  for (const std::string_view part : parts) {
    EXPECT_NE(text.find(part), std::string::npos) << "'" << part << "' in: " << text;
  }
}

// compute: 0 a · 1 b(a) · 2 c(b, w) · 4 (c, d, cache) · 5 (w, a, cache); aux: 3 d(b).
struct Chain {
  Draft draft;
  Value w = draft.weight("w", 0), cache = draft.carried("cache", 1);
  Value a = draft.step("a"), b = draft.step("b"), c = draft.step("c"), d = draft.step("d");

  Chain() {
    draft.op(Lane::compute, {.out = {a}});
    draft.op(Lane::compute, {.out = {b}, .in = {a}});
    draft.op(Lane::compute, {.out = {c}, .in = {b, w}});
    draft.op(Lane::aux, {.out = {d}, .in = {b}});
    draft.op(Lane::compute, {.inout = {cache}, .in = {c, d}});
    draft.op(Lane::compute, {.inout = {cache}, .in = {w, a}});
  }
  Schedule compiled() const {
    return *compile(
        draft.program, nullptr,
        overlaps_but({{2, reads_early({Operand::in1})}, {5, reads_early({Operand::in0})}}));
  }
};

TEST(CheckOverlapTest, ADerivedOneIsRight) {
  const Schedule schedule = Chain().compiled();
  EXPECT_EQ(schedule.follow_count(), 3);  // 1, 2 and 5
  EXPECT_TRUE(schedule.successions[2].constant_weights);
  EXPECT_EQ(error_of(schedule), "ok");
}

TEST(CheckOverlapTest, TheFirstOfALaneFollowsNone) {
  Schedule schedule = Chain().compiled();
  schedule.successions[0].follows = true;
  expect_parts(error_of(schedule), {"the first op of a lane follows none", "op 0", "compute"});
  schedule = Chain().compiled();
  schedule.successions[3].follows = true;
  expect_parts(error_of(schedule), {"the first op of a lane follows none", "op 3", "aux"});
}

TEST(CheckOverlapTest, AWaitForAnotherLaneIsNotOvertaken) {
  Schedule schedule = Chain().compiled();
  schedule.successions[4].follows = true;
  expect_parts(error_of(schedule),
               {"waits for another lane", "op = op 4", "behind = op 2", "waits for = op 3"});
}

// Lane aux waits for op 1 and reads what op 0 wrote. Had op 1 not awaited op 0, its end would say
// nothing of op 0's.
TEST(CheckOverlapTest, AnEndTellsOfAllBeforeIt) {
  Draft draft;
  const Value a = draft.step("a"), b = draft.step("b"), c = draft.step("c");
  draft.op(Lane::compute, {.out = {a}});
  draft.op(Lane::compute, {.out = {b}});
  draft.op(Lane::aux, {.out = {c}, .in = {a, b}});
  Schedule schedule = *compile(draft.program, nullptr, overlaps_but());
  ASSERT_EQ(schedule.waits[2].size(), 1u);
  ASSERT_TRUE(schedule.successions[1].follows);
  EXPECT_EQ(error_of(schedule), "ok");
  schedule.successions[1].kernels.awaits_predecessor = false;
  expect_parts(error_of(schedule), {"without awaiting its end", "op = op 1", "behind = op 0"});
}

TEST(CheckOverlapTest, OnlyKernelsAreFollowed) {
  Schedule schedule = Chain().compiled();
  schedule.successions[0].kernels.can_be_followed = false;
  expect_parts(error_of(schedule), {"does not end in a kernel", "op = op 1", "behind = op 0"});
}

TEST(CheckOverlapTest, NothingOverlapsCollectivesOrCopies) {
  Draft draft;
  const Value x = draft.carried("x", 0), y = draft.carried("y", 1);
  draft.op(Lane::comm, {.inout = {x}});
  draft.meet(0, 1, {.inout = {x}});
  draft.op(Lane::comm, {.inout = {x}});
  draft.op(Lane::comm, {.inout = {x}});
  draft.op(Lane::copy, {.inout = {y}});
  draft.op(Lane::copy, {.inout = {y}});
  const auto planted = [&](size_t op) {
    Schedule schedule = *compile(draft.program, nullptr, overlaps_but());
    EXPECT_EQ(schedule.follow_count(), 0);
    schedule.successions[op].follows = true;
    return error_of(schedule);
  };
  expect_parts(planted(1), {"a collective follows another op", "op = op 1"});
  expect_parts(planted(2), {"an op follows a collective", "op = op 2"});
  expect_parts(planted(3), {"on a lane of collectives or copies", "op = op 3", "lane = comm"});
  expect_parts(planted(5), {"on a lane of collectives or copies", "op = op 5", "lane = copy"});
}

TEST(CheckOverlapTest, EarlyReadsAreOfWeights) {
  Schedule schedule = Chain().compiled();
  schedule.successions[2].kernels = reads_early({Operand::in0});  // what op 1 writes
  expect_parts(error_of(schedule), {"reads early what is no weight", "op = op 2", "operand = in0",
                                    "buffer = b", "it is = step"});
  schedule = Chain().compiled();
  schedule.successions[5].kernels = reads_early({Operand::inout0, Operand::in0});
  expect_parts(error_of(schedule), {"reads early what is no weight", "op = op 5",
                                    "operand = inout0", "buffer = cache", "it is = carried"});
  schedule = Chain().compiled();
  schedule.successions[2].follows = false;
  expect_parts(error_of(schedule), {"reads weights early but follows none", "op = op 2"});
  schedule = Chain().compiled();
  schedule.program.buffers[0].owner = 1;
  expect_parts(error_of(schedule), {"another rank's weight", "op = op 2"});
  schedule = Chain().compiled();
  schedule.program.values[0].count = Chain().cache;
  expect_parts(error_of(schedule), {"how many rows", "op = op 2"});
  schedule = Chain().compiled();
  schedule.successions.pop_back();
  expect_parts(error_of(schedule), {"malformed: successions"});
}

TEST(CheckOverlapTest, EarlyReadsBehindALateReleaseAreOfWhatWasThereBefore) {
  Draft draft;
  const Value a = draft.step("a"), b = draft.step("b"), c = draft.step("c");
  draft.op(Lane::compute, {.out = {a}});
  draft.op(Lane::compute, {.out = {b}, .in = {a}});
  draft.op(Lane::compute, {.out = {c}, .in = {a, b}});
  const auto planted = [&](size_t early, bool late) {
    KernelOverlap front = kAwaits;
    front.releases_late = late;
    Schedule schedule = *compile(draft.program, nullptr, overlaps_but({{1, front}}));
    schedule.successions[2].kernels = reads_early({early});
    schedule.successions[2].constant_weights = true;
    return error_of(schedule);
  };
  EXPECT_EQ(planted(Operand::in0, true), "ok");
  expect_parts(planted(Operand::in0, false),
               {"reads early what is no weight", "op = op 2", "buffer = a"});
  expect_parts(planted(Operand::in1, true), {"what the one in front writes", "op = op 2",
                                             "operand = in1", "buffer = b", "behind = op 1"});
}

// The compiler takes two buffers for two memories.
TEST(CheckOverlapTest, EarlyReadsKnowAResidentByAnyName) {
  Draft draft;
  const Value lists = draft.carried("lists", 0), again = draft.carried("lists again", 0);
  const Value x = draft.carried("x", 1);
  draft.op(Lane::compute, {.inout = {x}});
  draft.op(Lane::compute, {.inout = {again}});
  draft.op(Lane::compute, {.inout = {x}, .in = {lists}});
  KernelOverlap late = kAwaits;
  late.releases_late = true;
  const Schedule schedule =
      *compile(draft.program, nullptr, overlaps_but({{1, late}, {2, reads_early({Operand::in0})}}));
  ASSERT_TRUE(schedule.successions[2].constant_weights);
  expect_parts(error_of(schedule), {"what the one in front writes", "op = op 2", "buffer = lists"});
}

// The compiler finds all that may follow: one more is always refused.
TEST(CheckOverlapTest, NoneCanBeAdded) {
  int64_t follow = 0, refused = 0;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    const KernelOverlaps overlaps = [seed](const Op& op, std::span<const Type>) {
      std::mt19937_64 random(seed ^ op.desc.as<testing::Mix>().seed);
      const KernelOverlap kinds[] = {kAwaits, kAwaits, kCanBeFollowed, KernelOverlap{}};
      return kinds[random() % 4];
    };
    const Schedule schedule =
        *compile(testing::random_program(seed), testing::mix_scratch, overlaps);
    ASSERT_EQ(error_of(schedule), "ok") << seed;
    follow += schedule.follow_count();
    for (size_t op = 0; op < schedule.successions.size(); ++op) {
      if (schedule.successions[op].follows) continue;
      Schedule mutant = schedule;
      mutant.successions[op].follows = true;
      ASSERT_NE(error_of(mutant), "ok") << seed << " op " << op << "\n" << mutant.to_string();
      ++refused;
    }
  }
  EXPECT_GT(follow, 300);
  EXPECT_GT(refused, 300);
}

}  // namespace
}  // namespace braid::flow

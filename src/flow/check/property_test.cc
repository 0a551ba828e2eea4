// Random Programs: what compile() makes of them is right by the checker and by the oracle, and
// both agree on every mutant of it.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "flow/check/check.h"
#include "flow/check/oracle_test_util.h"
#include "flow/random_program_test_util.h"

namespace braid::flow::testing {
namespace {

int64_t num_programs() { return num_cases(1000, 20000); }

Schedule compile_random(uint64_t seed) {
  auto schedule = compile(random_program(seed), mix_scratch);
  BRAID_CHECK(schedule.ok(), "{}", schedule.status().to_string());
  return std::move(schedule).value();
}

// How the checker judged mutants of one sort, and whether it was right.
struct Tally {
  int64_t caught = 0;
  int64_t equivalent = 0;

  void judge(const Schedule& mutant, uint64_t seed, std::string_view what) {
    const auto verdict = check_schedule(mutant);
    const bool right = schedule_is_right(mutant);
    ASSERT_EQ(verdict.ok(), right)
        << what << " in program " << seed << ": " << verdict.status().to_string() << "\n"
        << mutant.to_string();
    ++(right ? equivalent : caught);
  }
  void print(std::string_view what) const {
    fmt::print("{}: {} mutants caught, {} proven equivalent\n", what, caught, equivalent);
  }
};

TEST(CheckPropertyTest, CompiledSchedulesAreClean) {
  int64_t waits = 0;
  int64_t pairs = 0;
  int64_t reused = 0;
  for (int64_t seed = 0; seed < num_programs(); ++seed) {
    const Schedule schedule = compile_random(static_cast<uint64_t>(seed));
    const auto verdict = check_schedule(schedule);
    ASSERT_TRUE(verdict.ok()) << seed << ": " << verdict.status().to_string();
    ASSERT_TRUE(schedule_is_right(schedule)) << seed << "\n" << schedule.to_string();
    ASSERT_EQ(verdict.value().ops, static_cast<int64_t>(schedule.program.ops.size()));
    waits += schedule.wait_count();
    pairs += verdict.value().pairs;

    int64_t sum = 0;
    for (const auto& places : {schedule.buffers, schedule.scratch}) {
      for (const Extent& place : places) {
        if (place.offset >= 0) sum += (place.bytes + 255) / 256 * 256;
      }
    }
    ASSERT_LE(schedule.workspace_bytes, sum) << seed;
    reused += schedule.workspace_bytes < sum ? 1 : 0;
  }
  fmt::print("{} programs, {} waits, {} pairs proven, {} reuse workspace\n", num_programs(), waits,
             pairs, reused);
  EXPECT_GT(reused, num_programs() / 2);
  EXPECT_GT(waits, num_programs());
}

// compile() promises the fewest waits: without any of them some order is lost.
TEST(CheckPropertyTest, NoWaitCanBeDropped) {
  Tally tally;
  for (int64_t seed = 0; seed < num_programs(); ++seed) {
    const Schedule schedule = compile_random(static_cast<uint64_t>(seed));
    for (size_t op = 0; op < schedule.waits.size(); ++op) {
      for (size_t wait = 0; wait < schedule.waits[op].size(); ++wait) {
        Schedule mutant = schedule;
        mutant.waits[op].erase_at(wait);
        tally.judge(mutant, static_cast<uint64_t>(seed), "a dropped wait");
        if (HasFatalFailure()) return;
      }
    }
  }
  tally.print("dropped waits");
  EXPECT_EQ(tally.equivalent, 0);
  EXPECT_GT(tally.caught, num_programs());
}

TEST(CheckPropertyTest, SwappedOpsOfALane) {
  Tally tally;
  for (int64_t seed = 0; seed < num_programs(); ++seed) {
    const Schedule schedule = compile_random(static_cast<uint64_t>(seed));
    std::mt19937_64 random(static_cast<uint64_t>(seed));
    for (size_t lane = 0; lane < kNumLanes; ++lane) {
      const size_t ops = schedule.lanes[lane].size();
      for (size_t i = 0; i + 1 < ops; ++i) {
        Schedule mutant = schedule;
        const size_t other = i + 1 + random() % (ops - i - 1);
        std::swap(mutant.lanes[lane][i], mutant.lanes[lane][other]);
        tally.judge(mutant, static_cast<uint64_t>(seed), "two swapped ops");
        if (HasFatalFailure()) return;
      }
    }
  }
  tally.print("swapped ops of a lane");
  EXPECT_GT(tally.caught, num_programs());
}

TEST(CheckPropertyTest, BuffersMovedOntoOthers) {
  Tally tally;
  for (int64_t seed = 0; seed < num_programs(); ++seed) {
    const Schedule schedule = compile_random(static_cast<uint64_t>(seed));
    std::mt19937_64 random(static_cast<uint64_t>(seed));
    std::vector<size_t> placed;
    for (size_t i = 0; i < schedule.buffers.size(); ++i) {
      if (schedule.buffers[i].offset >= 0) placed.push_back(i);
    }
    for (const size_t moved : placed) {
      Schedule mutant = schedule;
      const Extent& onto = schedule.buffers[placed[random() % placed.size()]];
      mutant.buffers[moved].offset = onto.offset + 4 * static_cast<int64_t>(random() % 3);
      tally.judge(mutant, static_cast<uint64_t>(seed), "a moved buffer");
      if (HasFatalFailure()) return;
    }
    for (size_t op = 0; op < schedule.scratch.size(); ++op) {
      if (schedule.scratch[op].offset < 0 || placed.empty()) continue;
      Schedule mutant = schedule;
      mutant.scratch[op].offset = schedule.buffers[placed[random() % placed.size()]].offset;
      tally.judge(mutant, static_cast<uint64_t>(seed), "moved scratch");
      if (HasFatalFailure()) return;
    }
  }
  tally.print("moved buffers and scratch");
  EXPECT_GT(tally.caught, num_programs());
}

}  // namespace
}  // namespace braid::flow::testing

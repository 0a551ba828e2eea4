// ThreadSanitizer sees the ranks' lanes: a wait that is missing from a Schedule is a data race that
// fails its job. Shown here on a planted one, in a process of its own.
#include <gtest/gtest.h>

#include "flow/bound_test_util.h"
#include "flow/check/check.h"
#include "flow/compile.h"
#include "flow/cpu_executor.h"
#include "flow/test_kinds.h"

namespace braid::flow {
namespace {

#if defined(__SANITIZE_THREAD__)
constexpr bool kTsan = true;
#else
constexpr bool kTsan = false;
#endif
constexpr int kTsanFound = 66;  // how a process ends after ThreadSanitizer reported something

// The fork of a MoE layer: lane aux reads what lane compute writes.
Schedule fork() {
  testing::Draft draft;
  const Value hidden = draft.step("hidden", 16, 256), shared = draft.step("shared", 16, 256);
  draft.op(Lane::compute, {.out = {hidden}});
  draft.op(Lane::aux, {.out = {shared}, .in = {hidden}});
  return *compile(draft.program);
}

[[noreturn]] void run_and_exit(const Schedule& schedule) {
  testing::TestMemory memory(Residents(), schedule.workspace_bytes);
  const BoundSchedule bound =
      *flow::bind(schedule, testing::mix_table(), memory.residents(), memory.arena());
  {
    CpuExecutor executor;
    EXPECT_TRUE(executor.wait(executor.submit(bound, {})).ok());
  }
  std::exit(0);
}

class PlantedRaceDeathTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!kTsan) GTEST_SKIP() << "needs the tsan build";
    GTEST_FLAG_SET(death_test_style, "threadsafe");
  }
};

TEST_F(PlantedRaceDeathTest, AMissingWaitIsReported) {
  Schedule schedule = fork();
  schedule.waits[1].clear();
  ASSERT_FALSE(check_schedule(schedule).ok());  // the checker needs no run to see it
  EXPECT_EXIT(run_and_exit(schedule), ::testing::ExitedWithCode(kTsanFound), "data race");
}

TEST_F(PlantedRaceDeathTest, TheCompiledWaitIsEnough) {
  const Schedule schedule = fork();
  ASSERT_EQ(schedule.wait_count(), 1);
  EXPECT_EXIT(run_and_exit(schedule), ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace braid::flow

// Ops that fail, hang or are left out, on the CPU: the error is told, and the lanes end.
#include <gtest/gtest.h>

#include "device/cpu/no_threads_test_util.h"
#include "flow/bound_test_util.h"
#include "flow/cpu_executor.h"
#include "flow/random_program_test_util.h"

namespace braid::flow {
namespace {

using testing::Draft;
using testing::TestMemory;

// A chain of ops on lane compute, and one behind the third of them on lane comm.
struct Chain {
  Chain() {
    Draft draft;
    const Value x = draft.carried("x", 2, 6), y = draft.carried("y", 3, 6);
    for (int i = 0; i < 3; ++i) draft.op(Lane::compute, {.inout = {x}});
    draft.op(Lane::comm, {.out = {y}, .in = {x}});
    draft.op(Lane::compute, {.inout = {x}});
    schedule = *compile(draft.program);
    bound = *flow::bind(schedule, testing::mix_table(), memory.residents(), memory.arena());
  }

  // Runs the chain as `step`; then what wait() said.
  Status run(CpuExecutor& executor, int64_t step) {
    return executor.wait(executor.submit(bound, {.step = step}));
  }

  Schedule schedule;
  TestMemory memory{testing::random_residents(), 1};
  BoundSchedule bound;
};

TEST(CpuFaultTest, AFailingOpIsNamedWithItsStepAndTheLanesEnd) {
  Chain chain;
  CpuExecutor executor({.fault = {.kind = FaultKind::fail, .step = 5, .op = 2}});
  EXPECT_TRUE(chain.run(executor, 4).ok());
  const Status failed = chain.run(executor, 5);
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().kind(), ErrorKind::fault);
  EXPECT_NE(failed.to_string().find("op = 2: "), std::string::npos) << failed.to_string();
  EXPECT_NE(failed.to_string().find("step = 5"), std::string::npos);
  EXPECT_EQ(chain.run(executor, 6).to_string(), failed.to_string());  // later ones tell it, too
}

TEST(CpuFaultTest, WithoutThreadsWaitingTellsIt) {
  Chain chain;
  EXPECT_TRUE(device::testing::true_without_threads([&] {
    CpuExecutor executor;
    const Status failed = chain.run(executor, 1);
    return !failed.ok() && failed.error().kind() == ErrorKind::exhausted;
  }));
}

TEST(CpuFaultTest, AfterAFailureNothingRuns) {
  Chain chain;
  for (const size_t op : {0, 1}) launch(chain.bound, op, 1);
  const auto expected = chain.memory.contents();
  chain.memory.fill();
  CpuExecutor executor({.fault = {.kind = FaultKind::fail, .step = 1, .op = 2}});
  EXPECT_FALSE(chain.run(executor, 1).ok());
  EXPECT_EQ(chain.memory.contents(), expected);
}

TEST(CpuFaultTest, ASkippedOpIsLeftOut) {
  Chain chain;
  CpuExecutor executor({.fault = {.kind = FaultKind::skip, .step = 1, .op = 4}});
  for (const size_t op : {0, 1, 2, 3}) launch(chain.bound, op, 1);
  const auto without_the_last = chain.memory.contents();
  chain.memory.fill();
  EXPECT_TRUE(chain.run(executor, 1).ok());
  EXPECT_EQ(chain.memory.contents(), without_the_last);
}

TEST(CpuFaultTest, AHangingOpEndsWhenACollectiveHasFailed) {
  Chain chain;
  std::atomic<bool> lost = false;
  CpuExecutor executor(
      {.fault = {.kind = FaultKind::hang, .step = 1, .op = 1}, .collectives = [&]() -> Status {
         if (!lost) return {};
         return Error(ErrorKind::fault, "gave up");
       }});
  const Ticket run = executor.submit(chain.bound, {.step = 1});
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_FALSE(executor.done(run));
  lost = true;
  const Status status = executor.wait(run);  // told by the op that met with it
  EXPECT_NE(status.to_string().find("gave up (op = 3: "), std::string::npos) << status.to_string();
  EXPECT_NE(status.to_string().find("step = 1"), std::string::npos);
}

TEST(CpuFaultTest, AKilledRankDies) {
  Chain chain;
  EXPECT_EXIT(
      {
        CpuExecutor executor({.fault = {.kind = FaultKind::kill, .step = 1, .op = 3}});
        (void)chain.run(executor, 1);
      },
      ::testing::KilledBySignal(SIGKILL), "");
}

}  // namespace
}  // namespace braid::flow

// Kernels that may be launched while the one before them still runs, on a GPU: late producers, and
// what goes wrong where a kernel or a launcher does not keep its word.
#include <gtest/gtest.h>

#include "device/cuda/cuda_device.h"
#include "flow/bound_test_util.h"
#include "flow/cuda/cuda_executor.h"
#include "flow/cuda/mix_table_test_util.h"
#include "flow/random_program_test_util.h"

namespace braid::flow {
namespace {

using testing::Draft;
using testing::TestMemory;

constexpr int64_t kLate = 50'000;  // nanoseconds that a producer waits before it reads and writes
constexpr int kOps = 8;

class CudaOverlapTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (device::CudaDevice::count() == 0) GTEST_SKIP() << "no GPU";
    device_ = *device::CudaDevice::open(0);
    executor_ = *CudaExecutor::create({.step_timeout = 5});
  }

  static Schedule compiled(const Program& program) {
    return *compile(program, testing::mix_scratch, testing::cuda_mix_table().overlaps());
  }
  // Each op changes what the one before it wrote.
  static Schedule chain() {
    Draft draft;
    const Value x = draft.carried("x", 2, 6);
    for (int i = 0; i < kOps; ++i) draft.op(Lane::compute, {.inout = {x}});
    return compiled(draft.program);
  }

  void expect_run(const BoundSchedule& bound) {
    const Status status = executor_->wait(executor_->submit(bound, {}));
    ASSERT_TRUE(status.ok()) << status.to_string();
  }
  TestMemory memory_for(const Schedule& schedule) {
    return TestMemory(testing::random_residents(), schedule.workspace_bytes, device_->host());
  }
  // The chain's ops, launched on one stream with nothing in between.
  void launch_eagerly(const BoundSchedule& bound) {
    device::CudaQueue& queue = executor_->queue(Lane::compute);
    for (size_t i = 0; i < bound.ops.size(); ++i) {
      queue.set_next_kernel({.follows = i > 0});
      launch(bound, i, 0, &queue);
    }
    queue.set_next_kernel({});
    ASSERT_EQ(cudaStreamSynchronize(queue.stream()), cudaSuccess);
  }

  std::unique_ptr<device::CudaDevice> device_;
  std::unique_ptr<CudaExecutor> executor_;
};

TEST_F(CudaOverlapTest, LateProducersAreAwaited) {
  const Schedule schedule = chain();
  ASSERT_EQ(schedule.follow_count(), kOps - 1);
  TestMemory memory = memory_for(schedule);
  const LauncherTable late = testing::cuda_mix_table({.timing = {.late_ns = kLate}});
  const BoundSchedule on_cpu =
      *flow::bind(schedule, testing::mix_table(), memory.residents(), memory.arena());
  const BoundSchedule bound = *flow::bind(schedule, late, memory.residents(), memory.arena());
  memory.fill();
  run_serial(on_cpu, 0);
  const auto serial = memory.contents();
  memory.fill();
  launch_eagerly(bound);
  EXPECT_EQ(memory.contents(), serial);
  const auto summary = executor_->capture(bound);
  ASSERT_TRUE(summary.ok()) << summary.status().to_string();
  EXPECT_EQ(summary->kernels, kOps);
  EXPECT_EQ(summary->early, kOps - 1);
  for (int replay = 0; replay < 20; ++replay) {
    memory.fill();
    expect_run(bound);
    ASSERT_EQ(memory.contents(), serial) << replay;
  }
  executor_->release(bound);
}

// What the test above would miss if kernels did not really overlap.
TEST_F(CudaOverlapTest, AKernelThatDoesNotAwaitGoesWrong) {
  const Schedule schedule = chain();
  TestMemory memory = memory_for(schedule);
  const LauncherTable broken =
      testing::cuda_mix_table({.timing = {.awaits = false, .late_ns = kLate}});
  const BoundSchedule on_cpu =
      *flow::bind(schedule, testing::mix_table(), memory.residents(), memory.arena());
  const BoundSchedule bound = *flow::bind(schedule, broken, memory.residents(), memory.arena());
  memory.fill();
  run_serial(on_cpu, 0);
  const auto serial = memory.contents();
  memory.fill();
  launch_eagerly(bound);
  EXPECT_NE(memory.contents(), serial) << "eager";
  ASSERT_TRUE(executor_->capture(bound).ok());
  memory.fill();
  expect_run(bound);
  EXPECT_NE(memory.contents(), serial) << "captured";
  executor_->release(bound);
}

// Random Programs on all lanes, each kernel late: replays leave what the serial run leaves.
TEST_F(CudaOverlapTest, CapturedRunsEqualSerialOnes) {
  const LauncherTable late = testing::cuda_mix_table({.timing = {.late_ns = 5'000}});
  int64_t early = 0;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    const Schedule schedule = compiled(testing::random_program(seed, {.ops = 24}));
    TestMemory memory = memory_for(schedule);
    const BoundSchedule on_cpu =
        *flow::bind(schedule, testing::mix_table(), memory.residents(), memory.arena());
    const BoundSchedule bound = *flow::bind(schedule, late, memory.residents(), memory.arena());
    memory.fill();
    run_serial(on_cpu, 0);
    const auto serial = memory.contents();
    const auto summary = executor_->capture(bound);
    ASSERT_TRUE(summary.ok()) << summary.status().to_string() << "\n" << schedule.to_string();
    EXPECT_LE(summary->early, schedule.follow_count());
    early += summary->early;
    for (int replay = 0; replay < 5; ++replay) {
      memory.fill();
      expect_run(bound);
      ASSERT_EQ(memory.contents(), serial) << "program " << seed << " replay " << replay;
    }
    executor_->release(bound);
  }
  EXPECT_GT(early, 40);
}

// Runs that are traced or delayed have something between their kernels: they are launched plainly.
TEST_F(CudaOverlapTest, TimedGraphsHaveNoEarlyLaunches) {
  const Schedule schedule = chain();
  TestMemory memory = memory_for(schedule);
  const LauncherTable table = testing::cuda_mix_table();
  const BoundSchedule bound = *flow::bind(schedule, table, memory.residents(), memory.arena());
  const auto summary = executor_->capture(bound, /*timed=*/true);
  ASSERT_TRUE(summary.ok()) << summary.status().to_string();
  EXPECT_EQ(summary->early, 0);
  executor_->release(bound);
}

// A launcher that launches programmatically where the Schedule does not say so is found when the
// graph is read back.
TEST_F(CudaOverlapTest, AGraphThatOvertakesIsRefused) {
  Draft draft;
  const Value x = draft.carried("x", 2, 6);
  draft.op(Lane::compute, {.inout = {x}});
  draft.op(Lane::compute, {.inout = {x}}, {3, Role::mlp});
  const Schedule schedule = *compile(draft.program);
  TestMemory memory = memory_for(schedule);
  const LauncherTable overtaking = testing::cuda_mix_table({.overtakes = true});
  const BoundSchedule bound = *flow::bind(schedule, overtaking, memory.residents(), memory.arena());
  const auto summary = executor_->capture(bound);
  ASSERT_FALSE(summary.ok());
  const std::string text = summary.status().to_string();
  EXPECT_NE(text.find("may start early"), std::string::npos) << text;
  EXPECT_NE(text.find("layer 3 mlp"), std::string::npos) << text;
}

}  // namespace
}  // namespace braid::flow

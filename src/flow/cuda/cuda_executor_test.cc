#include "flow/cuda/cuda_executor.h"

#include <gtest/gtest.h>

#include "device/cuda/cuda_device.h"
#include "device/cuda/spin.h"
#include "flow/audit/fill.h"
#include "flow/audit/memory.h"
#include "flow/bound_test_util.h"
#include "flow/cuda/mix_table_test_util.h"
#include "flow/random_program_test_util.h"
#include "flow/trace.h"

namespace braid::flow {
namespace {

using testing::Draft;
using testing::TestMemory;

class CudaExecutorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (device::CudaDevice::count() == 0) GTEST_SKIP() << "no GPU";
    device_ = *device::CudaDevice::open(0);
    executor_ = *CudaExecutor::create({.step_timeout = 5});
  }

  void expect_run(const BoundSchedule& bound, const RunOptions& options) {
    const Status status = executor_->wait(executor_->submit(bound, options));
    ASSERT_TRUE(status.ok()) << status.to_string();
  }

  LauncherTable table_ = testing::cuda_mix_table();
  std::unique_ptr<device::CudaDevice> device_;
  std::unique_ptr<CudaExecutor> executor_;
};

// Eager runs under random delays, and replays of graphs, leave the same bytes everywhere as the
// serial run on the CPU.
TEST_F(CudaExecutorTest, EqualsSerialUnderDelaysAndAsAGraph) {
  int lanes = 0;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    const Schedule schedule =
        *compile(testing::random_program(seed, {.ops = 16}), testing::mix_scratch);
    TestMemory memory(testing::random_residents(), schedule.workspace_bytes, device_->host());
    const auto bind_to = [&](const LauncherTable& table) {
      return *flow::bind(schedule, table, memory.residents(), memory.arena());
    };
    const BoundSchedule on_cpu = bind_to(testing::mix_table());
    const BoundSchedule on_gpu = bind_to(table_);
    lanes += schedule.lanes_used();
    for (int64_t step = 0; step < 2; ++step) {
      memory.fill();
      run_serial(on_cpu, step);
      const auto serial = memory.contents();
      for (uint64_t run = 0; run < 3; ++run) {
        memory.fill();
        executor_->set_delays({seed * 4 + run, run == 0 ? 0 : 40});
        expect_run(on_gpu, {.step = step});
        ASSERT_EQ(memory.contents(), serial) << "program " << seed << " run " << run;
      }
      executor_->set_delays({});
      if (step == 0) {
        const auto summary = executor_->capture(on_gpu);
        ASSERT_TRUE(summary.ok()) << summary.status().to_string();
        EXPECT_EQ(summary->kernels, static_cast<int64_t>(schedule.program.ops.size()));
      }
      for (int replay = 0; replay < 2; ++replay) {
        memory.fill();
        expect_run(on_gpu, {.step = step});
        ASSERT_EQ(memory.contents(), serial) << "program " << seed << " replay " << replay;
      }
      if (step == 1) executor_->release(on_gpu);
    }
  }
  EXPECT_GT(lanes, 80);
}

// What the test above would miss if the kernels did not depend on their order.
TEST_F(CudaExecutorTest, ADroppedWaitChangesTheResult) {
  Draft draft;
  const Value x = draft.carried("x", 2, 6), y = draft.carried("y", 3, 6);
  for (int i = 0; i < 8; ++i) draft.op(Lane::compute, {.inout = {x}});
  draft.op(Lane::aux, {.out = {y}, .in = {x}});
  Schedule schedule = *compile(draft.program);
  TestMemory memory(testing::random_residents(), schedule.workspace_bytes, device_->host());
  const auto run = [&] {
    const BoundSchedule bound = *flow::bind(schedule, table_, memory.residents(), memory.arena());
    memory.fill();
    expect_run(bound, {});
    executor_->release(bound);
    return memory.contents();
  };
  const auto right = run();
  EXPECT_EQ(run(), right);
  schedule.waits.back() = {};
  executor_->set_delays({1, 200});
  EXPECT_NE(run(), right);
}

TEST_F(CudaExecutorTest, RunsWaitForTheRunsThatTheyName) {
  Draft draft;
  const Value x = draft.carried("x", 2, 6);
  draft.op(Lane::compute, {.inout = {x}});
  const Schedule first = *compile(draft.program);
  Draft other;
  const Value same = other.carried("x", 2, 6), copy = other.carried("y", 3, 6);
  other.op(Lane::copy, {.out = {copy}, .in = {same}});
  const Schedule second = *compile(other.program);
  TestMemory memory(testing::random_residents(), 256, device_->host());
  const BoundSchedule a = *flow::bind(first, table_, memory.residents(), memory.arena());
  const BoundSchedule b = *flow::bind(second, table_, memory.residents(), memory.arena());
  executor_->set_delays({3, 100});
  for (int round = 0; round < 20; ++round) {
    memory.fill();
    const Ticket one = executor_->submit(a, {});
    expect_run(b, {.after = {&one, 1}});
    const auto concurrent = memory.contents();
    memory.fill();
    expect_run(a, {});
    expect_run(b, {});
    ASSERT_EQ(memory.contents(), concurrent);
  }
}

// Ops one by one, as an audit runs them: in memory that only the GPU sees, too.
TEST_F(CudaExecutorTest, AuditsByFill) {
  for (uint64_t seed = 0; seed < 10; ++seed) {
    const Schedule schedule =
        *compile(testing::random_program(seed, {.ops = 12}), testing::mix_scratch);
    TestMemory memory(testing::random_residents(), 0, device_->host());
    const device::Memory arena = *device_->allocate(schedule.workspace_bytes);
    const BoundSchedule bound = *flow::bind(schedule, table_, memory.residents(), arena.data());
    const std::vector<std::byte> start(static_cast<size_t>(arena.bytes()), std::byte{5});
    const auto begin = [&] {
      memory.fill();
      device_->upload(arena.data(), start.data(), arena.bytes());
    };
    begin();
    expect_run(bound, {});
    const auto serial = memory.contents();
    begin();
    const FillAuditDevice gpu{.memory_of = [&](int32_t resident) -> device::Device& {
                                return resident < 0 ? *device_ : device_->host();
                              },
                              .run_op = [&](size_t op) { return executor_->run_op(bound, op, 0); }};
    const auto audit = audit_by_fill(bound, memory.residents(),
                                     {arena.data(), static_cast<size_t>(arena.bytes())}, gpu, {});
    ASSERT_TRUE(audit.ok()) << audit.status().to_string();
    for (const AuditFinding& finding : audit->findings) ADD_FAILURE() << seed << finding.text;
    EXPECT_EQ(memory.contents(), serial) << seed;
    executor_->release(bound);
  }
}

TEST_F(CudaExecutorTest, AuditsFindWrongDeclarations) {
  Draft draft;
  const Value x = draft.step("x"), y = draft.carried("y", 2);
  draft.op(Lane::aux, {.out = {x}});
  draft.op(Lane::compute, {.inout = {y}, .in = {x}});
  const Schedule schedule = *compile(draft.program);
  TestMemory memory(testing::random_residents(), schedule.workspace_bytes, device_->host());
  const BoundSchedule bound = *flow::bind(schedule, table_, memory.residents(), memory.arena());
  const FillAuditDevice gpu{
      .memory_of = [&](int32_t) -> device::Device& { return device_->host(); },
      .run_op = [&](size_t op) { return executor_->run_op(bound, op, 0); }};
  for (const DeclarationMutation& mutation : mutations_of(schedule.program, 1)) {
    memory.fill();
    const auto audit =
        audit_by_fill(bound, memory.residents(), memory.workspace(), gpu, {.mutation = mutation});
    ASSERT_TRUE(audit.ok()) << audit.status().to_string();
    ASSERT_FALSE(audit->findings.empty()) << mutation.operand;
    EXPECT_EQ(audit->findings.front().op, 1) << audit->findings.front().text;
  }
}

TEST_F(CudaExecutorTest, TracesEveryOpOfEagerAndCapturedRuns) {
  Draft draft;
  const Value x = draft.carried("x", 2, 6), y = draft.carried("y", 3, 6);
  draft.op(Lane::compute, {.inout = {x}});
  draft.op(Lane::aux, {.inout = {y}});
  const Schedule schedule = *compile(draft.program);
  TestMemory memory(testing::random_residents(), schedule.workspace_bytes, device_->host());
  const BoundSchedule bound = *flow::bind(schedule, table_, memory.residents(), memory.arena());
  for (const bool captured : {false, true}) {
    if (captured) {
      ASSERT_TRUE(executor_->capture(bound, /*timed=*/true).ok());
    }
    Trace trace;
    trace.begin_step(7, schedule, "test");
    expect_run(bound, {.step = 7, .trace = &trace});
    const std::string json = trace.to_perfetto();
    size_t events = 0;
    for (size_t at = json.find("\"mix\""); at != std::string::npos;
         at = json.find("\"mix\"", at + 1)) {
      ++events;
    }
    EXPECT_GE(events, 2u) << json;
  }
}

TEST_F(CudaExecutorTest, AnOpThatHangsAloneIsNamed) {
  executor_ = *CudaExecutor::create({.step_timeout = 0.2});
  Draft draft;
  const Value x = draft.carried("x", 2, 6);
  for (int i = 0; i < 4; ++i) draft.op(Lane::compute, {.inout = {x}});
  const Schedule schedule = *compile(draft.program);
  TestMemory memory(testing::random_residents(), schedule.workspace_bytes, device_->host());
  const BoundSchedule bound = *flow::bind(schedule, table_, memory.residents(), memory.arena());
  device::spin(executor_->queue(Lane::compute).stream(), int64_t{1'000'000'000});
  const Status status = executor_->run_op(bound, 2, 5);
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.to_string().find("step = 5"), std::string::npos) << status.to_string();
  EXPECT_NE(status.to_string().find("op 2: "), std::string::npos) << status.to_string();
}

TEST_F(CudaExecutorTest, AnOpThatHangsIsNamed) {
  executor_ = *CudaExecutor::create({.step_timeout = 0.2});
  Draft draft;
  const Value x = draft.carried("x", 2, 6);
  for (int i = 0; i < 4; ++i) draft.op(Lane::compute, {.inout = {x}});
  const Schedule schedule = *compile(draft.program);
  TestMemory memory(testing::random_residents(), schedule.workspace_bytes, device_->host());
  const BoundSchedule bound = *flow::bind(schedule, table_, memory.residents(), memory.arena());
  executor_->set_delays({});
  device::spin(executor_->queue(Lane::compute).stream(), int64_t{1'000'000'000});
  const Status status = executor_->wait(executor_->submit(bound, {.step = 5}));
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind(), ErrorKind::fault);
  EXPECT_NE(status.to_string().find("step = 5"), std::string::npos) << status.to_string();
  EXPECT_NE(status.to_string().find("op 0: "), std::string::npos) << status.to_string();
}

}  // namespace
}  // namespace braid::flow

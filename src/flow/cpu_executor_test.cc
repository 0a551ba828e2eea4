#include "flow/cpu_executor.h"

#include <gtest/gtest.h>

#include "flow/bound_test_util.h"
#include "flow/random_program_test_util.h"
#include "flow/trace.h"

namespace braid::flow {
namespace testing {

// An op that ends when its flag is set, after setting another one. Null: no such flag.
struct Gate {
  std::atomic<bool>* sets = nullptr;
  std::atomic<bool>* waits_for = nullptr;
};

}  // namespace testing

template <>
const KindInfo& kind_of<testing::Gate>() {
  static const KindInfo kInfo{.name = "gate", .operands = testing::kMixOperands};
  return kInfo;
}

namespace {

using testing::Draft;
using testing::Gate;
using testing::TestMemory;

LauncherTable gate_table() {
  LauncherTable table = testing::make_mix_table();
  table.add<Gate>({.launch = [](const Gate& gate, Args, Workspace) {
    if (gate.sets != nullptr) {
      gate.sets->store(true);
      gate.sets->notify_all();
    }
    if (gate.waits_for != nullptr) gate.waits_for->wait(false);
  }});
  return table;
}

void open(std::atomic<bool>& flag) {
  flag.store(true);
  flag.notify_all();
}

Op gate_op(Lane lane, Gate gate) { return {AnyDesc(gate), {}, {}, lane}; }

// Every run under random delays leaves the same bytes everywhere as the serial run.
TEST(CpuExecutorTest, EqualsSerialUnderRandomDelays) {
  const LauncherTable& table = testing::mix_table();
  CpuExecutor executor({.name = "fuzz"});
  int lanes = 0;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const Schedule schedule =
        *compile(testing::random_program(seed, {.ops = 16}), testing::mix_scratch);
    TestMemory memory(testing::random_residents(), schedule.workspace_bytes);
    const BoundSchedule bound = *flow::bind(schedule, table, memory.residents(), memory.arena());
    lanes += schedule.lanes_used();
    run_serial(bound, static_cast<int64_t>(seed));
    const auto serial = memory.contents();
    for (uint64_t run = 0; run < 4; ++run) {
      memory.fill();
      executor.set_delays({seed * 4 + run, run == 0 ? 0 : 40});
      EXPECT_TRUE(executor.wait(executor.submit(bound, {.step = static_cast<int64_t>(seed)})).ok());
      ASSERT_EQ(memory.contents(), serial) << "program " << seed << " run " << run;
    }
  }
  EXPECT_GT(lanes, 100);  // two lanes and more, mostly
}

// What the test above would miss if kernels did not depend on their order.
TEST(CpuExecutorTest, ADroppedWaitChangesTheResult) {
  Draft draft;
  const Value x = draft.carried("x", 2, 6), y = draft.carried("y", 3, 6);
  for (int i = 0; i < 8; ++i) draft.op(Lane::compute, {.inout = {x}});
  draft.op(Lane::aux, {.out = {y}, .in = {x}});
  Schedule schedule = *compile(draft.program);
  ASSERT_EQ(schedule.wait_count(), 1);
  TestMemory memory(testing::random_residents(), 1);
  const auto bound =
      *flow::bind(schedule, testing::mix_table(), memory.residents(), memory.arena());
  run_serial(bound, 0);
  const auto serial = memory.contents();
  schedule.waits[8].clear();
  memory.fill();
  for (const size_t op : {8, 0, 1, 2, 3, 4, 5, 6, 7}) launch(bound, op, 0);  // aux was faster
  EXPECT_NE(memory.contents(), serial);
}

TEST(CpuExecutorTest, RunsInFlightKeepTheOrderOfTheirNames) {
  const LauncherTable& table = testing::mix_table();
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const Schedule step =
        *compile(testing::random_program(seed, {.ops = 10}), testing::mix_scratch);
    const Schedule other =
        *compile(testing::random_program(seed + 100, {.ops = 10}), testing::mix_scratch);
    TestMemory memory(testing::random_residents(),
                      std::max(step.workspace_bytes, other.workspace_bytes));
    const BoundSchedule a = *flow::bind(step, table, memory.residents(), memory.arena());
    const BoundSchedule b = *flow::bind(other, table, memory.residents(), memory.arena());
    for (int64_t i = 0; i < 6; ++i) run_serial(i % 2 == 0 ? a : b, i);
    const auto serial = memory.contents();

    memory.fill();
    CpuExecutor executor({.name = "flight"});
    executor.set_delays({seed, 20});
    Ticket last = 0;
    for (int64_t i = 0; i < 6; ++i) {
      const Ticket before = last;
      last = executor.submit(i % 2 == 0 ? a : b, {.step = i, .after = {&before, 1}});
      EXPECT_GT(last, before);
    }
    EXPECT_TRUE(executor.wait(last).ok());
    EXPECT_TRUE(executor.done(1));
    ASSERT_EQ(memory.contents(), serial) << seed;
  }
}

TEST(CpuExecutorTest, EvenAndOddStepsUseTheTwoCopies) {
  Draft draft;
  const int32_t two_copies = testing::kNumWeights + 2;
  draft.op(Lane::compute, {.out = {draft.carried("sampled", two_copies, testing::kRows, 2)}});
  const Schedule schedule = *compile(draft.program);
  TestMemory memory(testing::random_residents(), 1);
  const auto bound =
      *flow::bind(schedule, testing::mix_table(), memory.residents(), memory.arena());
  CpuExecutor executor;
  const int32_t first = memory.word(two_copies, 0, 0);
  const int32_t second = memory.word(two_copies, 1, 0);
  EXPECT_TRUE(executor.wait(executor.submit(bound, {.step = 7})).ok());
  EXPECT_EQ(memory.word(two_copies, 0, 0), first);
  EXPECT_NE(memory.word(two_copies, 1, 0), second);
  EXPECT_TRUE(executor.wait(executor.submit(bound, {.step = 8})).ok());
  EXPECT_EQ(memory.word(two_copies, 0, 0), memory.word(two_copies, 1, 0));
}

struct GateTest : ::testing::Test {
  std::atomic<bool> opened = false, reached = false;
  LauncherTable table = gate_table();
  Residents none;

  Schedule gates(std::initializer_list<Op> ops) {
    Program program;
    program.ops = ops;
    return *compile(program);
  }
};

TEST_F(GateTest, LanesRunSideBySide) {
  // compute waits for aux, aux for compute: they end only if both run at once.
  const Schedule schedule =
      gates({gate_op(Lane::compute, {&opened, &reached}), gate_op(Lane::aux, {&reached, &opened})});
  const BoundSchedule bound = *flow::bind(schedule, table, none, nullptr);
  CpuExecutor executor;
  EXPECT_TRUE(executor.wait(executor.submit(bound, {})).ok());
  EXPECT_TRUE(opened && reached);
}

TEST_F(GateTest, DoneTellsWhenARunHasEnded) {
  const Schedule schedule = gates({gate_op(Lane::compute, {&reached, &opened})});
  const Schedule nothing = gates({});
  const BoundSchedule bound = *flow::bind(schedule, table, none, nullptr);
  const BoundSchedule empty = *flow::bind(nothing, table, none, nullptr);
  CpuExecutor executor;
  EXPECT_TRUE(executor.done(0));  // 0 names no run
  const Ticket first = executor.submit(bound, {});
  const Ticket behind = executor.submit(empty, {.after = {&first, 1}});
  const Ticket apart = executor.submit(empty, {});
  reached.wait(false);
  EXPECT_FALSE(executor.done(first));
  EXPECT_FALSE(executor.done(behind));  // though it has no op
  EXPECT_FALSE(executor.done(apart));   // behind in the queue of lane compute
  open(opened);
  EXPECT_TRUE(executor.wait(behind).ok());
  EXPECT_TRUE(executor.done(first));
  EXPECT_TRUE(executor.wait(apart).ok());
  EXPECT_TRUE(executor.done(apart));
  EXPECT_TRUE(executor.wait(first).ok());  // again: nothing to wait for
}

// A run waits for those that it names on all its lanes, though the lanes' queues are free.
TEST_F(GateTest, NamedRunsHoldAllLanesBack) {
  const Schedule blocker = gates({gate_op(Lane::copy, {&reached, &opened})});
  Draft draft;
  const int32_t x = testing::kNumWeights, y = x + 1;
  draft.op(Lane::compute, {.out = {draft.carried("x", x, testing::kRows)}});
  draft.op(Lane::aux, {.out = {draft.carried("y", y, testing::kRows)}});
  const Schedule schedule = *compile(draft.program);
  TestMemory memory(testing::random_residents(), 1);
  const BoundSchedule first = *flow::bind(blocker, table, none, nullptr);
  const BoundSchedule second = *flow::bind(schedule, table, memory.residents(), memory.arena());
  const auto before = memory.contents();
  CpuExecutor executor;
  const Ticket blocked = executor.submit(first, {});
  const Ticket ticket = executor.submit(second, {.after = {&blocked, 1}});
  reached.wait(false);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_FALSE(executor.done(ticket));
  EXPECT_EQ(memory.contents(), before);
  open(opened);
  EXPECT_TRUE(executor.wait(ticket).ok());
  EXPECT_NE(memory.contents(), before);
}

TEST_F(GateTest, TheDestructorWaitsForWhatRuns) {
  const Schedule schedule = gates(
      {gate_op(Lane::compute, {&reached, &opened}), gate_op(Lane::compute, {&reached, nullptr})});
  const BoundSchedule bound = *flow::bind(schedule, table, none, nullptr);
  std::thread opener;
  {
    CpuExecutor executor;
    executor.submit(bound, {});
    reached.wait(false);
    opener = std::thread([this] { open(opened); });
  }
  EXPECT_TRUE(opened);
  opener.join();
}

TEST(BindTest, NamesWhatIsMissing) {
  Draft draft;
  draft.op(Lane::compute, {.out = {draft.carried("cache", 0)}}, {1, Role::attention});
  const Schedule schedule = *compile(draft.program);
  Residents residents;
  residents.declare({"cache.1", Format::i32, 4, 4, Lifetime::carried, 1});
  const auto unallocated = flow::bind(schedule, testing::mix_table(), residents, nullptr);
  ASSERT_FALSE(unallocated.ok());
  EXPECT_EQ(unallocated.error().kind(), ErrorKind::internal);
  EXPECT_NE(unallocated.error().to_string().find("buffer = cache.1"), std::string::npos);
  const auto unknown = flow::bind(schedule, LauncherTable(), residents, nullptr);
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.error().kind(), ErrorKind::unsupported);
  EXPECT_NE(unknown.error().to_string().find("layer 1 attention: mix"), std::string::npos);
}

TEST(BindTest, ResolvesViewsCountsAndScratch) {
  Draft draft;
  const Value x = draft.step("x", 4, 32), count = draft.step("count", 1, 4);
  draft.op(Lane::compute, {.out = {x, count}});
  draft.op(Lane::compute, {.in = {draft.counted(draft.columns(draft.rows(x, 1, 2), 3, 4), count)}},
           {}, 100);
  const Schedule schedule = *compile(draft.program, testing::mix_scratch);
  std::array<std::byte, 2048> arena{};
  const BoundSchedule bound = *flow::bind(schedule, testing::mix_table(), {}, arena.data());
  const auto& args = bound.ops[1].args.front();  // of even steps
  const Arg& arg = args[testing::MixOperand::in0];
  EXPECT_EQ(arg.data, arena.data() + 32 + 12);
  EXPECT_EQ(arg.stride, 32);
  EXPECT_EQ(arg.rows, 2);
  EXPECT_EQ(arg.cols, 4);
  EXPECT_EQ(reinterpret_cast<const std::byte*>(arg.count), arena.data() + 256);
  EXPECT_EQ(args[testing::MixOperand::inout0].data, nullptr);  // absent
  EXPECT_EQ(bound.ops[1].workspace.bytes, 100);
  EXPECT_EQ(bound.ops[1].workspace.data, arena.data() + 512);
}

TEST(ArgTest, LiveRowsAreClamped) {
  int32_t count = 5;
  Arg arg{.first_row = 2, .rows = 4, .count = &count};
  EXPECT_EQ(arg.live_rows(), 3);
  count = 1;
  EXPECT_EQ(arg.live_rows(), 0);
  count = 100;
  EXPECT_EQ(arg.live_rows(), 4);
  arg.count = nullptr;
  EXPECT_EQ(arg.live_rows(), 4);
}

}  // namespace
}  // namespace braid::flow

#include "flow/trace.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "flow/bound_test_util.h"
#include "flow/compile.h"
#include "flow/cpu_executor.h"
#include "flow/test_kinds.h"

namespace braid::flow {
namespace {

using testing::Draft;

struct TraceTest : ::testing::Test {
  Draft draft;
  Schedule schedule;

  TraceTest() {
    const Value x = draft.step("x"), y = draft.step("y");
    draft.op(Lane::compute, {.out = {x}}, {0, Role::router});
    draft.op(Lane::aux, {.out = {y}, .in = {x}}, {0, Role::shared_expert});
    draft.op(Lane::compute, {.inout = {x}, .in = {y}}, {1, Role::router});
    schedule = *compile(draft.program);
  }
};

TEST_F(TraceTest, IsValidJsonWithOneTrackALane) {
  Trace trace;
  trace.begin_step(5, schedule, "decode 4, \"prefill\" 0");
  // Recorded in the order of their ends: the first to start comes last.
  trace.record(5, 1, Lane::aux, 2'000, 3'500);
  trace.record(5, 0, Lane::compute, 1'000, 9'000);
  const auto json = parse_json(trace.to_perfetto(), "trace");
  ASSERT_TRUE(json.ok()) << json.status().to_string();
  const Json& events = (*json)["traceEvents"];
  ASSERT_EQ(events.size(), kNumLanes + 3u);
  EXPECT_EQ(events[0]["args"]["name"], "rank 0");
  EXPECT_EQ(events[2]["args"]["name"], "lane aux");
  const Json& aux = events[6];
  EXPECT_EQ(aux["ph"], "X");
  EXPECT_EQ(aux["name"], "mix");
  EXPECT_EQ(aux["cat"], "layer 0 shared_expert");
  EXPECT_EQ(aux["tid"], 1);
  EXPECT_DOUBLE_EQ(aux["ts"], 1.0);  // microseconds from the first start
  EXPECT_DOUBLE_EQ(aux["dur"], 1.5);
  EXPECT_EQ(aux["args"]["step"], 5);
  EXPECT_EQ(aux["args"]["rows"], "decode 4, \"prefill\" 0");
  EXPECT_EQ(aux["args"]["shapes"]["in0"], "x [4, 4] i32");
  EXPECT_DOUBLE_EQ(events[5]["ts"], 0.0);
}

TEST_F(TraceTest, RanksAreProcessesOnOneClock) {
  Trace first(0), second(3);
  for (Trace* trace : {&first, &second}) trace->begin_step(1, schedule, "");
  first.record(1, 0, Lane::compute, 5'000, 6'000);
  second.record(1, 0, Lane::compute, 2'000, 4'000);
  const std::array<Timeline, 2> ranks = {first.timeline(), second.timeline()};
  const Json events = (*parse_json(to_perfetto(ranks), "trace"))["traceEvents"];
  constexpr size_t kNames = 1 + kNumLanes;  // of the rank and its lanes
  ASSERT_EQ(events.size(), 2 * (kNames + 1));
  EXPECT_EQ(events[kNames]["pid"], 0);
  EXPECT_DOUBLE_EQ(events[kNames]["ts"], 3.0);  // after the other rank's first start
  EXPECT_EQ(events.back()["pid"], 3);
  EXPECT_DOUBLE_EQ(events.back()["ts"], 0.0);
  const std::string table = module_table(ranks);
  EXPECT_NE(table.find("router                2      0.003"), std::string::npos) << table;
}

TEST(TraceArrowsTest, LeadFromTheLastMemberOfACollective) {
  Draft draft;
  const Value x = draft.step("x");
  draft.op(Lane::compute, {.out = {x}});
  draft.meet(0, 7, {.inout = {x}});
  const Schedule schedule = *compile(draft.program);
  Trace first(0), second(1);
  for (Trace* trace : {&first, &second}) trace->begin_step(1, schedule, "");
  first.record(1, 1, Lane::comm, 1'000, 5'000);
  second.record(1, 1, Lane::comm, 4'000, 5'500);
  const std::array<Timeline, 2> ranks = {first.timeline(), second.timeline()};
  const std::array<CommunicatorGroup, 1> groups = {{{0, {0, 1}}}};
  const Json all = (*parse_json(to_perfetto(ranks, groups), "trace"))["traceEvents"];
  const Json& from = all[all.size() - 2];
  const Json& to = all.back();
  EXPECT_EQ(from["ph"], "s");
  EXPECT_EQ(from["pid"], 1);  // rank 1 came last
  EXPECT_DOUBLE_EQ(from["ts"], 3.0);
  EXPECT_EQ(to["ph"], "f");
  EXPECT_EQ(to["pid"], 0);
  EXPECT_EQ(to["id"], from["id"]);
  EXPECT_DOUBLE_EQ(to["ts"], 3.999);  // inside of what it ends in
  EXPECT_EQ(to["tid"], static_cast<int>(Lane::comm));
}

TEST_F(TraceTest, OverlapIsWhenBothLanesAreBusy) {
  Trace trace;
  trace.begin_step(1, schedule, "");
  trace.record(1, 0, Lane::compute, 0, 100);
  trace.record(1, 1, Lane::aux, 60, 150);
  trace.record(1, 2, Lane::compute, 120, 200);
  trace.record(2, 1, Lane::aux, 0, 200);  // another step
  EXPECT_EQ(trace.overlap_ns(1, Lane::compute, Lane::aux), 70);
  EXPECT_EQ(trace.overlap_ns(1, Lane::aux, Lane::compute), 70);
  EXPECT_EQ(trace.overlap_ns(1, Lane::compute, Lane::comm), 0);
}

TEST_F(TraceTest, AnEmptyTraceIsValidToo) {
  EXPECT_EQ((*parse_json(Trace().to_perfetto(), "trace"))["traceEvents"].size(), kNumLanes + 1u);
  const std::string table = module_table({});
  EXPECT_EQ(table.find('\n'), table.size() - 1);
}

TEST_F(TraceTest, ModuleTableSumsRoles) {
  Trace trace;
  trace.begin_step(0, schedule, "");
  trace.begin_step(1, schedule, "");
  for (int64_t step = 0; step < 2; ++step) {
    trace.record(step, 0, Lane::compute, 0, 2'000'000);
    trace.record(step, 1, Lane::aux, 0, 1'000'000);
    trace.record(step, 2, Lane::compute, 0, 1'000'000);
  }
  const Timeline timeline = trace.timeline();
  EXPECT_EQ(module_table({&timeline, 1}),
            "module              ops         ms   share   GFLOP/s     GB/s\n"
            "router                4      6.000   75.0%      0.00     0.00\n"
            "shared_expert         2      2.000   25.0%      0.00     0.00\n");
}

TEST_F(TraceTest, ExecutorsRecordEveryOp) {
  testing::TestMemory memory(Residents(), schedule.workspace_bytes);
  const auto bound =
      *flow::bind(schedule, testing::mix_table(), memory.residents(), memory.arena());
  Trace trace;
  CpuExecutor executor;
  for (int64_t step = 0; step < 3; ++step) {
    trace.begin_step(step, schedule, "decode");
    EXPECT_TRUE(executor.wait(executor.submit(bound, {.step = step, .trace = &trace})).ok());
  }
  const Json events = (*parse_json(trace.to_perfetto(), "trace"))["traceEvents"];
  ASSERT_EQ(events.size(), kNumLanes + 10u);
  std::map<int, double> end_of_writer;  // step → end of op 0, which op 1 waits for
  for (const Json& event : events) {
    if (event["ph"] != "X") continue;
    EXPECT_GE(event["ts"].get<double>(), 0.0);
    EXPECT_GE(event["dur"].get<double>(), 0.0);
    const bool writer = event["cat"] == "layer 0 router";
    const double end = event["ts"].get<double>() + event["dur"].get<double>();
    if (writer) end_of_writer[event["args"]["step"]] = end;
  }
  for (const Json& event : events) {
    if (event["ph"] != "X" || event["cat"] != "layer 0 shared_expert") continue;
    EXPECT_GE(event["ts"].get<double>(), end_of_writer.at(event["args"]["step"]));
  }
}

}  // namespace
}  // namespace braid::flow

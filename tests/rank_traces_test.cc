#include "start/rank_traces.h"

#include <gtest/gtest.h>

#include "support/process_ranks_util.h"

namespace braid {
namespace {

using testing::on_processes;
using testing::on_threads;
using testing::small_options;

TEST(ClockBoundsTest, ReadingsNarrowWhatIsPossible) {
  start::ClockBounds clock;
  clock.add(100, 5'160, 200);  // ahead by 4960 to 5060
  EXPECT_EQ(clock.offset_ns(), 5'010);
  EXPECT_EQ(clock.error_ns(), 50);
  clock.add(300, 5'310, 320);  // 4990 to 5010
  EXPECT_EQ(clock.offset_ns(), 5'000);
  EXPECT_EQ(clock.error_ns(), 10);
  clock.add(400, 5'500, 800);  // a slow one tells nothing new
  EXPECT_EQ(clock.error_ns(), 10);
}

TEST(ClockBoundsTest, OneClockIsNotMoved) {
  start::ClockBounds clock;
  clock.add(100, 101, 200);
  EXPECT_EQ(clock.offset_ns(), 0);
  EXPECT_EQ(clock.error_ns(), 0);
  start::ClockBounds behind;
  behind.add(1'000'000, 10, 1'000'020);
  EXPECT_EQ(behind.offset_ns(), -1'000'000);
  EXPECT_EQ(behind.error_ns(), 10);
}

// What the ranks ran, one line an op, in the order of each lane; and whether its time can be.
Result<std::string> traced(engine::Engine& engine) {
  const int64_t before = flow::Trace::now_ns();
  TRY(start::RankTraces::record(engine.ranks(), true));
  TRY(testing::answers_of(engine));
  const auto traces = TRY(start::RankTraces::collect(engine.ranks(), engine.plan().worker));
  const int64_t after = flow::Trace::now_ns();
  std::string text;
  for (const flow::Timeline& timeline : traces.timelines()) {
    std::map<std::array<int64_t, 3>, std::string> ops;  // by step, lane and op
    for (const flow::TimelineEvent& event : timeline.events) {
      const bool possible =
          before <= event.start_ns && event.start_ns <= event.end_ns && event.end_ns <= after;
      ops[{event.step, static_cast<int64_t>(event.lane), event.op}] =
          fmt::format("{} {} {}\n", timeline.steps.at(event.step).label,
                      timeline.program_of(event).describe(timeline.op_of(event)),
                      possible ? "" : "at an impossible time");
    }
    text += fmt::format("rank {}: {} of {} events\n", timeline.rank, ops.size(),
                        timeline.events.size());
    for (const auto& [place, line] : ops) text += line;
  }
  std::vector<flow::CommunicatorGroup> groups;
  const auto& communicators = engine.worker().model().options().layout.communicators;
  for (size_t id = 0; id < communicators.size(); ++id) {
    for (const auto& ranks : communicators[id].groups) {
      groups.push_back({static_cast<int32_t>(id), ranks});
    }
  }
  return text + fmt::format("{} meetings, clocks to {} ns",
                            flow::meetings(traces.timelines(), groups).size(),
                            traces.clock_error_ns());
}

class RankTracesTest : public ::testing::TestWithParam<layout::LayoutOptions> {};

TEST_P(RankTracesTest, OfProcessesHoldWhatThoseOfThreadsHold) {
  const start::EngineOptions options = small_options(GetParam());
  const auto threads = on_threads(options, traced), processes = on_processes(options, traced);
  ASSERT_TRUE(threads.ok() && processes.ok()) << processes.status().to_string();
  EXPECT_EQ(*processes, *threads);
  EXPECT_EQ(threads->find("impossible"), std::string::npos) << *threads;
  EXPECT_NE(threads->find("rank 1: "), std::string::npos);
  EXPECT_EQ(threads->find("\n0 meetings"), std::string::npos);
  EXPECT_NE(threads->find("clocks to 0 ns"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Layouts, RankTracesTest,
                         ::testing::Values(layout::LayoutOptions{.tp = 2},
                                           layout::LayoutOptions{.tp = 2, .dp = 2}));

}  // namespace
}  // namespace braid

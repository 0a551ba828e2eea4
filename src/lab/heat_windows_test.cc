#include "lab/heat_windows.h"

#include <gtest/gtest.h>

#include "lab/verification.h"
#include "model/dummy_source.h"
#include "model/testing.h"
#include "passes/count_heat.h"
#include "passes/dual_stream.h"
#include "start/resolve.h"

namespace braid::lab {
namespace {

using experts::Phase;
using layers::RowCounts;

model::ModelConfig golden_config() {
  return model::load_config(model::testing::golden_folder("glm4_moe")).value();
}

// Counts heat, although no option names it.
start::EngineOptions counting(const layout::LayoutOptions& layout) {
  start::EngineOptions options{.layout = layout,
                               .context_length = 32,
                               .max_running = 4,
                               .chunked_prefill_size = 16,
                               .page_size = 4};
  options.worker.passes.of<passes::HeatOptions>() = {.wanted = true};
  return options;
}

std::unique_ptr<engine::Engine> dummy_engine(const start::EngineOptions& options) {
  auto engine = std::move(start::create_engine(golden_config(), options)).value();
  EXPECT_TRUE(engine->load(model::DummySource()).ok());
  return engine;
}

std::vector<engine::Request> requests() {
  std::vector<engine::Request> made;
  for (const int32_t tokens : {13, 5, 9}) {
    engine::Request& request = made.emplace_back(engine::Request{.prompt = {}, .max_tokens = 7});
    for (int32_t i = 0; i < tokens; ++i) request.prompt.push_back((7 * tokens + 3 * i) % 512);
  }
  return made;
}

TEST(HeatRecordTest, WindowsHoldAllRowsOnce) {
  const auto engine = dummy_engine(counting({}));
  int64_t told = 0;
  const HeatRecord record =
      collect_heat(*engine, requests(), 3, [&](int64_t rows) { told += rows; }).value();
  EXPECT_EQ(record.layers, (std::vector<int32_t>{1, 2}));
  EXPECT_EQ(record.sizes, (experts::HeatSizes{.layers = 2, .groups = 1, .experts = 16}));
  const HeatRecord::Window all = record.all();
  EXPECT_EQ(all.rows, (std::array<int64_t, 2>{3 * 6, 13 + 5 + 9}));
  EXPECT_EQ(told, 3 * 6 + 13 + 5 + 9);
  EXPECT_EQ(all.heat, heat_now(*engine).value());
  EXPECT_EQ(all.last_step, engine->steps());
  int64_t next = 1;
  for (const HeatRecord::Window& window : record.windows) {
    EXPECT_EQ(window.first_step, next);
    EXPECT_TRUE(window.last_step == next + 2 || window.last_step == engine->steps());
    next = window.last_step + 1;
  }
  // What ran before isn't counted again.
  const HeatRecord again = collect_heat(*engine, requests(), 100).value();
  ASSERT_EQ(again.windows.size(), 1u);
  EXPECT_EQ(again.windows[0].first_step, next);
  EXPECT_EQ(again.all().heat.total(Phase::prefill), all.heat.total(Phase::prefill));
}

TEST(HeatRecordTest, CountersThatDisagreeWithTheRowsAreFound) {
  const auto engine = dummy_engine(counting({}));
  const int32_t counters = engine->worker().model().state().heat.counters;
  *reinterpret_cast<uint64_t*>(engine->worker().data(counters)) += 1;
  const auto record = collect_heat(*engine, requests(), 3);
  ASSERT_FALSE(record.ok());
  EXPECT_NE(record.error().to_string().find("the heat counted isn't that of the rows computed"),
            std::string::npos)
      << record.error().to_string();
  EXPECT_TRUE(engine->step().ok());  // nobody observes it any more
}

TEST(HeatRecordTest, ThePlacementIsTheLayoutsOne) {
  const model::ModelConfig config = golden_config();
  for (const layout::LayoutOptions options :
       {layout::LayoutOptions{.tp = 2}, {.tp = 2, .ep = 2}, {.tp = 4, .ep = 2}, {.dp = 4}}) {
    const auto sizes = model::layout_sizes(config);
    const layout::Layout layout = layout::make_layout(sizes, options).value();
    const experts::ExpertPlacement placement = placement_in(config, layout);
    EXPECT_EQ(placement.sizes().layers, 2);
    for (int32_t rank = 0; rank < layout.world; ++rank) {
      const layout::Share share = layout::Shards(sizes, layout, rank).experts();
      const auto slots = placement.slots_of(1, layout.moe.coordinates(rank)[0]);
      ASSERT_EQ(std::ssize(slots), share.count);
      for (size_t i = 0; i < slots.size(); ++i) {
        EXPECT_EQ(slots[i], share.first + static_cast<int64_t>(i));
      }
    }
  }
}

// Steps of a rank of each of these layouts.
class HeatLaunchesTest : public ::testing::TestWithParam<layout::LayoutOptions> {
 protected:
  RankSteps compile(int32_t decode, int32_t prefill) {
    const RowCounts rows{decode, prefill};
    return std::move(compiler_.compile({rows, rows})).value();
  }

 private:
  // Names of buffers are those of its models.
  StepCompiler compiler_{golden_config(),
                         start::resolve(golden_config(), counting(GetParam())).value().worker};
};

// What is wrong with the launches: "" where nothing is.
std::string check(const std::vector<flow::Launch>& launches) {
  const auto report = flow::check_launches(launches);
  return report.ok() ? "" : report.error().to_string();
}

TEST_P(HeatLaunchesTest, StepsAndReadersAreOrderedWithoutWaitingForTheLastReader) {
  const RankSteps decode = compile(2, 0), prefill = compile(0, 4);
  for (size_t rank = 0; rank < decode.size(); ++rank) {
    const steps::CompiledStep *a = decode[rank].get(), *b = prefill[rank].get();
    const std::vector<const steps::CompiledStep*> steps = {a, b, a, a, b};
    const auto launches = launches_of(steps);
    EXPECT_EQ(check(launches), "");
    for (size_t step = 2; step < steps.size(); ++step) {
      const auto first = static_cast<int32_t>(2 * step);
      EXPECT_EQ(launches[2 * step].after, (std::vector<int32_t>{first - 2, first - 3}));
      auto unnamed = launches;
      unnamed[2 * step].after.pop_back();  // its copies' last reader
      EXPECT_NE(check(unnamed).find("two launches touch the same memory in no order"),
                std::string::npos);
    }
    for (size_t reader = 1; reader < launches.size(); reader += 2) {
      auto unnamed = launches;
      unnamed[reader].after.clear();
      EXPECT_NE(check(unnamed).find("two launches touch the same memory in no order"),
                std::string::npos);
    }
  }
}

TEST_P(HeatLaunchesTest, OneCopyOfTheSnapshotIsNotEnough) {
  RankSteps steps = compile(2, 0);
  for (flow::Schedule* schedule : {&steps[0]->schedule, &steps[0]->readback}) {
    for (flow::Buffer& buffer : schedule->program.buffers) {
      if (buffer.label == "heat.snapshot") buffer.copies = 1;
    }
  }
  const std::vector<const steps::CompiledStep*> twice = {steps[0].get(), steps[0].get()};
  EXPECT_NE(check(launches_of(twice)).find("buffer = heat.snapshot"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Layouts, HeatLaunchesTest,
                         ::testing::Values(layout::LayoutOptions{},
                                           layout::LayoutOptions{.tp = 2, .dp = 2}),
                         [](const auto& info) {
                           return fmt::format("tp{}dp{}", info.param.tp, info.param.dp);
                         });

TEST(HeatRunsTest, RunsWithDelaysAreSerialOnesBitByBit) {
  for (const layout::LayoutOptions layout : {layout::LayoutOptions{.tp = 2}, {.dp = 2}}) {
    start::EngineOptions options = counting(layout);
    options.worker.passes.of<passes::DualStreamOptions>().mode = passes::Switch::on;
    const auto engine = dummy_engine(options);
    const auto recording = StepRecording::record(*engine, requests()).value();
    for (uint64_t seed = 1; seed < 4; ++seed) {
      const Status same = recording.replay(engine->ranks(), {.seed = seed << 20, .longest = 100});
      EXPECT_TRUE(same.ok()) << same.to_string();
    }
  }
}

}  // namespace
}  // namespace braid::lab

#include "ranks/ranks.h"

#include <gtest/gtest.h>

#include "engine/engine.h"
#include "model/dummy_source.h"
#include "model/testing.h"
#include "start/resolve.h"

namespace braid::engine {
namespace {

using start::EngineOptions;

model::ModelConfig config() {
  return model::load_config(model::testing::golden_folder("glm4_moe")).value();
}

EngineOptions small_options(layout::LayoutOptions layout) {
  return {.layout = layout,
          .context_length = 32,
          .max_running = 2,
          .chunked_prefill_size = 16,
          .page_size = 4};
}

std::unique_ptr<Engine> dummy_engine(const EngineOptions& options) {
  auto engine = std::move(start::create_engine(config(), options)).value();
  EXPECT_TRUE(engine->load(model::DummySource()).ok());
  return engine;
}

std::vector<int32_t> answer(Engine& engine) {
  EXPECT_TRUE(engine.submit({.prompt = {1, 2, 3, 4, 5}, .max_tokens = 8}).ok());
  std::vector<int32_t> tokens;
  while (!engine.idle()) {
    for (const TokenEvent& event : engine.step().value()) tokens.push_back(event.token);
  }
  return tokens;
}

// Row 0 of a buffer: what a decode step of one sequence leaves there.
std::vector<std::byte> row_of(ranks::Worker& worker, int32_t resident) {
  const std::byte* data = worker.data(resident);
  return {data, data + worker.model().residents()[resident].row_bytes()};
}

TEST(RanksTest, AllRanksComputeTheSameLogits) {
  EngineOptions options = small_options({.tp = 4, .ep = 2});
  options.worker.model.probes = {.all_logits = true, .hidden = true};
  const auto engine = dummy_engine(options);
  EXPECT_EQ(engine->ranks().size(), 4);
  EXPECT_EQ(answer(*engine).size(), 8u);
  const model::StateBuffers& state = engine->worker().model().state();
  std::vector<int32_t> whole = state.hidden;
  whole.push_back(state.logits);
  for (int32_t rank = 1; rank < 4; ++rank) {
    for (const int32_t resident : whole) {
      EXPECT_TRUE(row_of(engine->ranks()[rank], resident) == row_of(engine->worker(), resident))
          << "rank " << rank << " " << engine->worker().model().residents()[resident].name;
    }
  }
}

TEST(RanksTest, SerialAndLanesAgree) {
  EngineOptions options = small_options({.tp = 2});
  const std::vector<int32_t> on_lanes = answer(*dummy_engine(options));
  options.worker.serial = true;
  EXPECT_EQ(answer(*dummy_engine(options)), on_lanes);
}

TEST(RanksTest, TheWeightsAreSpread) {
  const auto one = dummy_engine(small_options({}));
  const auto four = dummy_engine(small_options({.tp = 4, .ep = 4}));
  const int64_t whole = one->ranks().weight_bytes();
  // What every rank has (embedding, head, norms, router) counts four times.
  EXPECT_GT(four->ranks().weight_bytes(), whole);
  EXPECT_LT(four->ranks().weight_bytes(), 2 * whole);
  EXPECT_LT(four->ranks()[0].model().residents().bytes(flow::Lifetime::weight), whole / 2);
}

TEST(RanksTest, AnIllegalLayoutIsAUsageError) {
  const auto engine = start::create_engine(config(), small_options({.tp = 3}));
  ASSERT_FALSE(engine.ok());
  EXPECT_EQ(engine.error().kind(), ErrorKind::usage);
  EXPECT_NE(engine.error().to_string().find("--tp 4 --ep 1"), std::string::npos);
}

// Rank 1 has no workspace, so that it can't run a step that rank 0 can.
TEST(RanksTest, AnErrorOfOneRankEndsTheStepOnAll) {
  const auto engine = dummy_engine(small_options({.tp = 2}));
  engine->ranks()[1].schedules().bind_to(nullptr, 0);
  ASSERT_TRUE(engine->submit({.prompt = {1, 2, 3}, .max_tokens = 2}).ok());
  const auto step = engine->step();
  ASSERT_FALSE(step.ok());
  const std::string text = step.error().to_string();
  EXPECT_NE(text.find("a step needs more workspace than was planned"), std::string::npos) << text;
  EXPECT_NE(text.find("rank = 1"), std::string::npos) << text;
  EXPECT_NE(text.find("step = 1"), std::string::npos) << text;
  EXPECT_FALSE(engine->step().ok());  // later steps don't run either
}

TEST(RanksTest, ARankThatStaysAwayIsNamed) {
  EngineOptions options = small_options({.tp = 2});
  options.worker.step_timeout = std::chrono::milliseconds(30);
  const auto engine = dummy_engine(options);
  ranks::Worker& first = engine->ranks()[0];
  const auto words = first.host_words(1);
  std::fill(words.begin(), words.end(), 0);
  ASSERT_TRUE(first.submit({{1, 0}, {1, 0}}, 1).ok());  // rank 1 is not told
  const Status status = first.wait(1);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().kind(), ErrorKind::fault);
  EXPECT_NE(status.to_string().find("rank 1 did not come"), std::string::npos);
}

// A rank whose launcher fails, that hangs, or leaves out an op: all end, soon, with its name.
TEST(RanksTest, FaultsOfOneRankEndTheStepOnAll) {
  struct Case {
    flow::FaultKind kind;
    std::vector<std::string> words;
  };
  EngineOptions options = small_options({.tp = 2});
  options.worker.step_timeout = std::chrono::milliseconds(200);
  const auto healthy = dummy_engine(options);
  const steps::CompiledStep* step_of = healthy->worker().schedules().get({{1, 0}, {1, 0}}).value();
  const int32_t last = step_of->schedule.lanes[flow::index_of(flow::Lane::comm)].back();
  for (const Case& fault :
       {Case{flow::FaultKind::fail,
             {"an op could not be run", fmt::format("op = {}: ", last), "step = 2", "rank = 1"}},
        Case{flow::FaultKind::hang, {"rank 1 did not come", "op = ", "step = 2"}},
        Case{flow::FaultKind::skip, {"rank 1 did not come", "op = ", "step = 2"}}}) {
    options.worker.fault_rank = 1;
    options.worker.fault = {.kind = fault.kind, .step = 2, .op = last};
    const auto engine = dummy_engine(options);
    ASSERT_TRUE(engine->submit({.prompt = {1, 2, 3}, .max_tokens = 3}).ok());
    ASSERT_TRUE(engine->step().ok());
    const auto start = std::chrono::steady_clock::now();
    const auto step = engine->step();
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
    ASSERT_FALSE(step.ok());
    for (const std::string& word : fault.words) {
      EXPECT_NE(step.error().to_string().find(word), std::string::npos) << word << "\n"
                                                                        << step.error().to_string();
    }
  }
}

}  // namespace
}  // namespace braid::engine

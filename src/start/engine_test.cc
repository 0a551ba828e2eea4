#include "engine/engine.h"

#include <gtest/gtest.h>

#include "model/dummy_source.h"
#include "start/resolve.h"

namespace braid::engine {
namespace {

using start::EngineOptions;

std::unique_ptr<Engine> dummy_engine(EngineOptions options) {
  const std::string folder = std::string(BRAID_SOURCE_DIR) + "/tests/goldens/glm4_moe";
  auto engine =
      std::move(start::create_engine(model::load_config(folder).value(), options)).value();
  EXPECT_TRUE(engine->load(model::DummySource()).ok());
  return engine;
}

EngineOptions small_options() {
  return {.context_length = 32, .max_running = 2, .chunked_prefill_size = 16, .page_size = 4};
}

std::string refusal(Engine& engine, const Request& request) {
  const auto result = engine.submit(request);
  return result.ok() ? "accepted" : result.error().to_string();
}

TEST(EngineTest, RefusesWhatItCannotServe) {
  const auto engine = dummy_engine(small_options());
  EXPECT_EQ(refusal(*engine, {.prompt = {}}), "the prompt is empty. Give at least one token.");
  EXPECT_EQ(refusal(*engine, {.prompt = {1, 512}, .max_tokens = 1}),
            "a token id is outside of the vocabulary (index = 1, id = 512, vocab_size = 512)");
  EXPECT_EQ(refusal(*engine, {.prompt = {1, -1}, .max_tokens = 1}),
            "a token id is outside of the vocabulary (index = 1, id = -1, vocab_size = 512)");
  EXPECT_EQ(refusal(*engine, {.prompt = std::vector<int32_t>(30, 1), .max_tokens = 3}),
            "prompt and answer do not fit into the context (prompt tokens = 30, max-tokens = 3, "
            "context-length = 32). Shorten the prompt or lower --max-tokens.");
  EXPECT_EQ(refusal(*engine, {.prompt = {1}, .max_tokens = -1}),
            "no negative number of tokens can be asked for (max-tokens = -1)");
  EXPECT_EQ(refusal(*engine, {.prompt = {1}, .sampling = {.temperature = -1}, .max_tokens = 1}),
            "the temperature must be 0 or more (temperature = -1)");
  EXPECT_EQ(refusal(*engine, {.prompt = {1}, .sampling = {.top_p = 0}, .max_tokens = 1}),
            "top-p must be above 0 and at most 1 (top-p = 0)");
  EXPECT_EQ(refusal(*engine, {.prompt = {1}, .sampling = {.top_k = -2}, .max_tokens = 1}),
            "top-k must be 0 (all tokens) or more (top-k = -2)");
  EXPECT_TRUE(engine->idle());
}

TEST(EngineTest, RefusesAContextBeyondTheModels) {
  EngineOptions options = small_options();
  options.context_length = 5000;
  const std::string folder = std::string(BRAID_SOURCE_DIR) + "/tests/goldens/glm4_moe";
  const auto engine = start::create_engine(model::load_config(folder).value(), options);
  ASSERT_FALSE(engine.ok());
  EXPECT_NE(engine.error().to_string().find("max_position_embeddings = 4096"), std::string::npos);
}

TEST(EngineTest, EndsAtTheLengthAndAtAStopToken) {
  const auto engine = dummy_engine(small_options());
  Request request{.prompt = {3, 4, 5}, .max_tokens = 6};
  std::vector<TokenEvent> events;
  const auto run = [&](const Request& submitted) {
    events.clear();
    EXPECT_TRUE(engine->submit(submitted).ok());
    while (!engine->idle()) {
      const auto step = engine->step().value();
      events.insert(events.end(), step.begin(), step.end());
    }
  };
  run(request);
  ASSERT_EQ(events.size(), 6u);
  EXPECT_EQ(events.back().finished, FinishReason::length);
  EXPECT_FALSE(events.front().finished);

  request.stop_token_ids = {events[2].token};
  const size_t first = static_cast<size_t>(
      std::find_if(events.begin(), events.end(),
                   [&](const TokenEvent& e) { return e.token == request.stop_token_ids[0]; }) -
      events.begin());
  run(request);
  ASSERT_EQ(events.size(), first + 1);
  EXPECT_EQ(events.back().finished, FinishReason::stop);
}

TEST(EngineTest, SamplingDependsOnTheSeed) {
  const auto engine = dummy_engine(small_options());
  const auto tokens = [&](uint64_t seed) {
    std::vector<int32_t> all;
    EXPECT_TRUE(engine
                    ->submit({.prompt = {3, 4, 5},
                              .sampling = {.temperature = 1, .seed = seed},
                              .max_tokens = 12})
                    .ok());
    while (!engine->idle()) {
      for (const TokenEvent& event : engine->step().value()) all.push_back(event.token);
    }
    return all;
  };
  const std::vector<int32_t> first = tokens(1);
  EXPECT_EQ(tokens(1), first);
  EXPECT_NE(tokens(2), first);
}

TEST(EngineTest, CancelledRequestsGiveNoMoreTokens) {
  const auto engine = dummy_engine(small_options());
  const RequestId request = engine->submit({.prompt = {1, 2}, .max_tokens = 10}).value();
  EXPECT_EQ(engine->step()->size(), 1u);
  EXPECT_TRUE(engine->cancel(request));
  EXPECT_TRUE(engine->idle());
  EXPECT_TRUE(engine->step()->empty());
}

TEST(WorkerTest, SerialAndLanesAgree) {
  std::vector<std::vector<int32_t>> answers;
  for (const bool serial : {true, false}) {
    EngineOptions options = small_options();
    options.worker.serial = serial;
    const auto engine = dummy_engine(options);
    EXPECT_TRUE(engine->submit({.prompt = {1, 2, 3, 4, 5}, .max_tokens = 8}).ok());
    answers.emplace_back();
    while (!engine->idle()) {
      for (const TokenEvent& event : engine->step().value()) answers.back().push_back(event.token);
    }
  }
  EXPECT_EQ(answers[0], answers[1]);
}

// No experts are forced on rows until they are placed.
TEST(WorkerTest, NothingIsForcedBeforeExpertsArePlaced) {
  std::vector<std::vector<int32_t>> answers;
  for (const bool force_routing : {false, true}) {
    EngineOptions options = small_options();
    options.worker.model.probes.force_routing = force_routing;
    const auto engine = dummy_engine(options);
    const model::DecoderModel& model = engine->worker().model();
    int64_t buffers = 0;
    for (const int32_t index : model.state().forced_ids) {
      if (index == model::kAbsent) continue;
      ++buffers;
      const auto* ids = reinterpret_cast<const int32_t*>(engine->worker().data(index));
      const int64_t count = model.residents()[index].bytes() / 4;
      EXPECT_EQ(std::count(ids, ids + count, -1), count);
    }
    EXPECT_EQ(buffers > 0, force_routing);
    EXPECT_TRUE(engine->submit({.prompt = {1, 2, 3, 4, 5}, .max_tokens = 8}).ok());
    answers.emplace_back();
    while (!engine->idle()) {
      for (const TokenEvent& event : engine->step().value()) answers.back().push_back(event.token);
    }
  }
  EXPECT_EQ(answers[0], answers[1]);
}

TEST(SchedulesTest, AStepIsCompiledOnceAndChecked) {
  const auto engine = dummy_engine(small_options());
  steps::Schedules& schedules = engine->worker().schedules();
  const layers::StepShape shape{{1, 3}, {1, 3}};
  const size_t before = schedules.all().size();  // the largest ones, made at the start
  const steps::CompiledStep* step = schedules.get(shape).value();
  EXPECT_EQ(schedules.get(shape).value(), step);
  EXPECT_GT(step->report.ops, 10);
  // How rows are dispatched, and one a pass.
  EXPECT_EQ(step->decisions.size(), 1 + passes::all_passes().size());
  EXPECT_EQ(schedules.all().size(), before + 1);
}

}  // namespace
}  // namespace braid::engine

// For tests: an engine whose ranks are processes of this host, and what it answers.
#pragma once

#include <string>

#include "comm/control/processes.h"
#include "engine/engine.h"
#include "model/dummy_source.h"
#include "model/testing.h"
#include "ranks/process_ranks.h"
#include "start/resolve.h"

namespace braid::testing {

inline model::ModelConfig small_model() {
  return model::load_config(model::testing::golden_folder("glm4_moe")).value();
}

inline start::EngineOptions small_options(const layout::LayoutOptions& layout) {
  return {.layout = layout,
          .context_length = 32,
          .max_running = 4,
          .chunked_prefill_size = 16,
          .page_size = 4,
          .num_blocks = 32};
}

// Three requests at once, one of them with penalties and log probabilities: their tokens as text,
// "1: 5 17 3; 2: …".
inline Result<std::string> answers_of(engine::Engine& engine) {
  std::map<engine::RequestId, std::string> answers;
  for (const int32_t size : {5, 9, 2}) {
    engine::Request request{.prompt = {}, .max_tokens = 5};
    for (int32_t i = 0; i < size; ++i) request.prompt.push_back((7 * size + 3 * i) % 512);
    if (size == 9) {
      request.sampling.repetition_penalty = 1.3f;
      request.sampling.logit_bias = {{5, 2}};
      request.logprobs = 2;
    }
    TRY(engine.submit(std::move(request)));
  }
  while (!engine.idle()) {
    for (const engine::TokenEvent& event : TRY(engine.step())) {
      answers[event.request] += fmt::format(" {}", event.token);
      if (!event.logprobs) continue;
      answers[event.request] += fmt::format(" ({:a}", event.logprobs->chosen);
      for (const auto& [token, logprob] : event.logprobs->top) {
        answers[event.request] += fmt::format(" {} {:a}", token, logprob);
      }
      answers[event.request] += ")";
    }
  }
  std::string text;
  for (const auto& [request, tokens] : answers) text += fmt::format("{}:{}; ", request, tokens);
  return text;
}

// What `use` says of an engine with these options and dummy weights, its ranks being threads of
// this process.
using Use = std::function<Result<std::string>(engine::Engine&)>;
inline Result<std::string> on_threads(const start::EngineOptions& options,
                                      const Use& use = answers_of) {
  const auto engine = TRY(start::create_engine(small_model(), options));
  TRY(engine->load(model::DummySource()));
  return use(*engine);
}

// The same with processes.
inline Result<std::string> on_processes(const start::EngineOptions& options,
                                        const Use& use = answers_of) {
  const engine::EnginePlan plan = TRY(start::plan_engine(small_model(), options));
  const int32_t world = plan.worker.model.layout.world;
  const comm::Ended ended = TRY(
      comm::run_node({.ranks = world, .world = world}, [&](comm::ControlPlane& control) -> Status {
        if (control.rank() > 0) {
          const auto rank = TRY(ranks::RankProcess::create(small_model(), plan.worker, control));
          TRY(rank->load(model::DummySource(), nullptr));
          return rank->follow();
        }
        const auto engine = TRY(engine::Engine::create(small_model(), plan, &control));
        TRY(engine->load(model::DummySource()));
        control.conclude(TRY(use(*engine)));
        return {};
      }));
  return ended.outcome;
}

}  // namespace braid::testing

// Both loops on the same requests: the same tokens, bit for bit, whatever stops, is cancelled or is
// preempted on the way.
#include <gtest/gtest.h>

#include <bit>
#include <random>

#include "engine/engine.h"
#include "model/config.h"
#include "model/dummy_source.h"
#include "start/resolve.h"

namespace braid::engine {
namespace {

using start::EngineOptions;
using Random = std::mt19937_64;
using Answers = std::map<RequestId, std::vector<int32_t>>;

int32_t below(Random& random, int32_t bound) {
  return static_cast<int32_t>(random() % static_cast<uint64_t>(bound));
}

struct Mix {
  EngineOptions options;
  std::vector<Request> requests;
  std::vector<int64_t> arrivals;      // steps after which they come, ascending
  std::vector<int64_t> cancel_after;  // tokens; 0: never
};

EngineOptions random_options(Random& random) {
  EngineOptions options;
  options.context_length = 64;
  options.max_running = 1 + below(random, 6);
  options.chunked_prefill_size = 1 + below(random, 24);
  options.page_size = 1 << below(random, 4);
  // Now and then so few blocks that sequences are preempted.
  options.num_blocks = (random() % 2 == 0 ? 64 : 160) / options.page_size + 1;
  options.layout = {.tp = random() % 3 == 0 ? 2 : 1, .dp = random() % 3 == 0 ? 2 : 1};
  return options;
}

Mix random_mix(Random& random) {
  Mix mix{.options = random_options(random), .requests = {}, .arrivals = {}, .cancel_after = {}};
  const int32_t count = 1 + below(random, 8);
  for (int32_t i = 0; i < count; ++i) {
    Request request;
    for (int32_t size = 1 + below(random, 30); size > 0; --size) {
      request.prompt.push_back(below(random, 100));
    }
    request.max_tokens = below(random, 5) == 0 ? 0 : 1 + below(random, 24);
    request.sampling = {.temperature = below(random, 2) == 0 ? 0.0f : 1.2f,
                        .top_p = 1,
                        .top_k = 0,
                        .seed = random()};
    if (below(random, 3) == 0) {
      request.sampling.repetition_penalty = 1.5f;
      request.sampling.frequency_penalty = 0.8f;
      request.sampling.logit_bias = {{below(random, 100), 3}};
    }
    if (below(random, 4) == 0) request.logprobs = below(random, 4);
    // One token in ten stops.
    for (int32_t token = 0; token < 300; token += 10) request.stop_token_ids.push_back(token);
    if (below(random, 2) == 0) request.stop_token_ids.clear();
    mix.requests.push_back(std::move(request));
    mix.arrivals.push_back(below(random, 12));
    mix.cancel_after.push_back(below(random, 5) == 0 ? 1 + below(random, 6) : 0);
  }
  std::sort(mix.arrivals.begin(), mix.arrivals.end());
  return mix;
}

struct Ran {
  Answers answers;
  Answers logprobs;
  int64_t preemptions = 0;
  int64_t steps = 0;
};

Ran run(const Mix& mix, bool ahead) {
  const auto config =
      model::load_config(std::string(BRAID_SOURCE_DIR) + "/tests/goldens/glm4_moe").value();
  EngineOptions options = mix.options;
  options.run_ahead = ahead;
  const auto engine = start::create_engine(config, options).value();
  EXPECT_TRUE(engine->load(model::DummySource(7, {})).ok());
  Ran ran;
  std::vector<RequestId> ids;
  for (int64_t step = 0; ids.size() < mix.requests.size() || !engine->idle(); ++step) {
    while (ids.size() < mix.requests.size() && mix.arrivals[ids.size()] <= step) {
      const auto id = engine->submit(mix.requests[ids.size()]);
      EXPECT_TRUE(id.ok()) << id.status().to_string();
      ids.push_back(*id);
    }
    const auto events = engine->step();
    EXPECT_TRUE(events.ok()) << events.status().to_string();
    if (!events.ok()) return ran;
    for (const TokenEvent& event : *events) {
      std::vector<int32_t>& answer = ran.answers[event.request];
      answer.push_back(event.token);
      if (event.logprobs) {
        const auto bits = std::bit_cast<int32_t>(event.logprobs->chosen);
        ran.logprobs[event.request].push_back(bits);
        for (const TokenLogprob& top : event.logprobs->top) {
          ran.logprobs[event.request].push_back(top.token);
        }
      }
      if (event.finished) answer.push_back(-10 - static_cast<int32_t>(*event.finished));
      const auto index = static_cast<size_t>(event.request - ids.front());
      if (std::ssize(answer) == mix.cancel_after[index]) engine->cancel(event.request);
    }
  }
  ran.preemptions = engine->preemptions();
  ran.steps = engine->steps();
  return ran;
}

TEST(LoopsTest, BothDeliverTheSameTokens) {
  int64_t preempted = 0;
  int64_t later = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(testing::Message() << "mix " << seed);
    Random random(seed);
    const Mix mix = random_mix(random);
    const Ran plain = run(mix, false);
    const Ran ahead = run(mix, true);
    EXPECT_EQ(plain.answers, ahead.answers);
    EXPECT_EQ(plain.logprobs, ahead.logprobs);
    preempted += ahead.preemptions > 0 ? 1 : 0;
    later += ahead.steps > plain.steps ? 1 : 0;
    if (HasFailure()) return;
  }
  EXPECT_GT(preempted, 10);
  EXPECT_GT(later, 10);  // a stop takes effect one step late
}

}  // namespace
}  // namespace braid::engine

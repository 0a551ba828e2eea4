// Biases, penalties, min_p and log probabilities: as transformers computes them, as the formulas
// say of every step's logits, and the same in any batch.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "base/json.h"
#include "kernels/sample/adjust_test_util.h"
#include "kernels/sample/cpu/adjust_logits.h"
#include "kernels/sample/cpu/sample.h"
#include "support/models.h"
#include "support/tap.h"

namespace braid::testing {
namespace {

using start::EngineOptions;
using engine::LogitBias;
using engine::Request;
using engine::RequestId;
using engine::SamplingParams;

std::vector<Json> fixtures() {
  const auto file =
      read_json_file(std::string(BRAID_SOURCE_DIR) + "/tests/data/sampling/cases.json").value();
  return file.at("cases").get<std::vector<Json>>();
}

TEST(SamplingFixtureTest, LogitsAreAdjustedAsByTransformers) {
  const std::vector<Json> cases = fixtures();
  EXPECT_GE(cases.size(), 40u);
  for (const Json& wanted : cases) {
    const auto logits = wanted.at("logits").get<std::vector<float>>();
    const auto size = static_cast<int64_t>(logits.size());
    kernels::testing::AdjustCase batch(size, 4);
    batch.add({.prompt = wanted.at("prompt"),
               .answer = wanted.at("answer"),
               .repetition = wanted.at("repetition_penalty"),
               .presence = wanted.at("presence_penalty"),
               .frequency = wanted.at("frequency_penalty"),
               .biases = wanted.at("logit_bias"),
               .logits = logits});
    std::vector<float> out(logits.size());
    std::vector<std::byte> scratch(static_cast<size_t>(kernels::cpu::adjust_scratch_bytes(size)));
    kernels::AdjustArgs args = batch.row(0);
    args.out = {out.data(), size};
    kernels::cpu::adjust_logits(batch.desc(), 1, args, scratch.data());
    const auto want = wanted.at("adjusted").get<std::vector<float>>();
    for (size_t i = 0; i < out.size(); ++i) EXPECT_NEAR(out[i], want[i], 2e-6) << wanted.dump();
  }
}

TEST(SamplingFixtureTest, NothingIsDrawnButWhatTransformersKeeps) {
  for (const Json& wanted : fixtures()) {
    const auto logits = wanted.at("adjusted").get<std::vector<float>>();
    const auto size = static_cast<int64_t>(logits.size());
    const auto kept = wanted.at("kept").get<std::vector<int32_t>>();
    std::vector<std::byte> scratch(static_cast<size_t>(kernels::cpu::sample_scratch_bytes(size)));
    std::vector<int32_t> drawn;
    for (int32_t position = 0; position < 3000; ++position) {
      drawn.push_back(kernels::cpu::sample({.temperature = wanted.at("temperature"),
                                            .top_p = wanted.at("top_p"),
                                            .top_k = wanted.at("top_k"),
                                            .seed = 3,
                                            .position = position,
                                            .log_min_p = std::log(wanted.at("min_p").get<float>())},
                                           size, logits.data(), scratch.data()));
    }
    std::sort(drawn.begin(), drawn.end());
    drawn.erase(std::unique(drawn.begin(), drawn.end()), drawn.end());
    EXPECT_EQ(drawn, kept) << wanted.dump();
  }
}

// The formulas, a token at a time.
std::vector<float> adjusted(std::vector<float> logits, const SamplingParams& how,
                            std::span<const int32_t> prompt, std::span<const int32_t> answer) {
  for (const LogitBias& bias : how.logit_bias) logits[static_cast<size_t>(bias.id)] += bias.bias;
  for (size_t id = 0; id < logits.size(); ++id) {
    float& logit = logits[id];
    const auto in = [id](std::span<const int32_t> tokens) {
      return std::count(tokens.begin(), tokens.end(), static_cast<int32_t>(id));
    };
    const auto times = static_cast<float>(in(answer));
    if (times > 0 || in(prompt) > 0) {
      logit = logit > 0 ? logit / how.repetition_penalty : logit * how.repetition_penalty;
    }
    if (times > 0) logit = logit - how.frequency_penalty * times - how.presence_penalty;
  }
  return logits;
}

constexpr int32_t kContext = 64;

std::vector<Request> random_requests(std::mt19937_64& random, int count, bool greedy) {
  const auto unit = [&random] { return static_cast<float>(random() >> 40) * 0x1p-24f; };
  std::vector<Request> requests;
  for (int i = 0; i < count; ++i) {
    Request request{.prompt = {}, .max_tokens = 8 + static_cast<int32_t>(random() % 16)};
    for (size_t left = 1 + random() % 24; left > 0; --left) {
      request.prompt.push_back(static_cast<int32_t>(random() % 500));
    }
    SamplingParams& how = request.sampling;
    if (!greedy && i % 2 == 1) how.temperature = 1.1f;
    how.seed = random();
    if (i % 3 != 0) how.repetition_penalty = 0.8f + unit();
    if (i % 4 != 1) how.presence_penalty = 2 * unit() - 1;
    if (i % 5 != 2) how.frequency_penalty = 2 * unit() - 1;
    if (i % 4 == 3) how.logit_bias = {{7, 4}, {300 + i, 6.5f}, {11, -100}};
    if (i % 3 == 2) how.min_p = 0.05f;
    if (i % 7 == 6) how = {.temperature = how.temperature, .seed = how.seed};  // wants nothing
    request.logprobs = i % 2 == 0 ? i % 21 : engine::kNoLogprobs;
    requests.push_back(std::move(request));
  }
  return requests;
}

// Tokens and the bits of their log probabilities.
using Answer = std::vector<int32_t>;

void append(const engine::TokenEvent& event, Answer& answer) {
  answer.push_back(event.token);
  if (!event.logprobs) return;
  answer.push_back(std::bit_cast<int32_t>(event.logprobs->chosen));
  for (const auto& [token, logprob] : event.logprobs->top) {
    answer.push_back(token);
    answer.push_back(std::bit_cast<int32_t>(logprob));
  }
}

std::vector<Answer> run(const EngineOptions& options, std::span<const Request> requests,
                        int64_t* preemptions = nullptr) {
  const auto engine = open_engine(golden_folder("glm4_moe"), options);
  std::map<RequestId, Answer> answers;
  for (const Request& request : requests) answers[engine->submit(request).value()];
  while (!engine->idle()) {
    for (const engine::TokenEvent& event : engine->step().value()) {
      append(event, answers[event.request]);
    }
  }
  if (preemptions != nullptr) *preemptions += engine->preemptions();
  std::vector<Answer> out;
  for (auto& [id, answer] : answers) out.push_back(std::move(answer));
  return out;
}

EngineOptions small_options() {
  return {.context_length = kContext, .max_running = 4, .chunked_prefill_size = 32, .page_size = 4};
}

TEST(SamplingTest, EveryTokenIsTheLikeliestOfTheAdjustedLogits) {
  EngineOptions options = small_options();
  options.worker.model.probes.all_logits = true;
  const auto engine = open_engine(golden_folder("glm4_moe"), options);
  Tap tap(*engine);
  std::mt19937_64 random(1);
  int64_t changed = 0;
  for (const Request& request : random_requests(random, 14, /*greedy=*/true)) {
    const RequestId id = engine->submit(request).value();
    Answer tokens;
    while (!engine->idle()) {
      for (const engine::TokenEvent& event : engine->step().value()) {
        const size_t position = request.prompt.size() + tokens.size() - 1;
        const std::vector<float>& raw = tap.of(id)[position].logits;
        const std::vector<float> want = adjusted(raw, request.sampling, request.prompt, tokens);
        const auto best = std::max_element(want.begin(), want.end()) - want.begin();
        EXPECT_EQ(event.token, best);
        changed += best != std::max_element(raw.begin(), raw.end()) - raw.begin() ? 1 : 0;
        ASSERT_EQ(event.logprobs.has_value(), request.logprobs >= 0);
        if (event.logprobs) {
          EXPECT_EQ(std::ssize(event.logprobs->top), request.logprobs);
          double sum = 0;
          const auto of_chosen = raw[static_cast<size_t>(event.token)];
          for (const float logit : raw) sum += std::exp(static_cast<double>(logit - of_chosen));
          EXPECT_NEAR(event.logprobs->chosen, -std::log(sum), 1e-5);
        }
        tokens.push_back(event.token);
      }
    }
  }
  EXPECT_GT(changed, 20);
}

TEST(SamplingTest, AnAnswerIsTheSameInAnyBatch) {
  std::mt19937_64 random(2);
  const std::vector<Request> requests = random_requests(random, 12, /*greedy=*/false);
  std::vector<Answer> alone;
  for (const Request& request : requests) {
    alone.push_back(run(small_options(), {&request, 1}).front());
  }
  int64_t preemptions = 0;
  for (const bool ahead : {false, true}) {
    for (const layout::LayoutOptions& layout :
         {layout::LayoutOptions{}, {.tp = 2}, {.dp = 2}, {.tp = 2, .dp = 2}}) {
      for (const int32_t chunk : {5, 64}) {
        EngineOptions options = small_options();
        options.run_ahead = ahead;
        options.layout = layout;
        options.chunked_prefill_size = chunk;
        options.num_blocks = chunk == 5 ? 18 : 0;  // too few for all: sequences are preempted
        const std::vector<Answer> together = run(options, requests, &preemptions);
        ASSERT_EQ(together.size(), alone.size());
        for (size_t i = 0; i < alone.size(); ++i) {
          if (layout.tp == 1) {
            EXPECT_EQ(together[i], alone[i]) << "request " << i << ", ahead " << ahead;
          } else {  // sums of two ranks round otherwise
            EXPECT_EQ(together[i].size(), alone[i].size());
          }
        }
      }
    }
  }
  EXPECT_GT(preemptions, 10);
}

// Steps of requests that want nothing have none of these ops.
TEST(SamplingTest, StepsWithoutWishesAreThePlainOnes) {
  const auto engine = open_engine(golden_folder("glm4_moe"), small_options());
  ASSERT_TRUE(
      engine->submit({.prompt = {1, 2}, .sampling = {.min_p = 0.1f}, .max_tokens = 3}).ok());
  run_to_end(*engine);
  for (const auto& [shape, step] : engine->worker().schedules().all()) {
    EXPECT_EQ(shape.sampling, layers::Sampling::plain);
    for (const flow::Op& op : step->schedule.program.ops) {
      EXPECT_FALSE(op.desc.is<kernels::AdjustLogitsDesc>());
      EXPECT_FALSE(op.desc.is<kernels::TopLogprobsDesc>());
    }
  }
  ASSERT_TRUE(engine->submit({.prompt = {1, 2}, .max_tokens = 3, .logprobs = 0}).ok());
  run_to_end(*engine);
  const auto& all = engine->worker().schedules().all();
  EXPECT_TRUE(std::any_of(all.begin(), all.end(), [](const auto& step) {
    return step.first.sampling == layers::Sampling::extended;
  }));
}

TEST(SamplingTest, ParametersOutOfRangeAreRefused) {
  const auto engine = open_engine(golden_folder("glm4_moe"), small_options());
  const auto refusal = [&](const SamplingParams& sampling, int32_t logprobs = -1) {
    const auto id = engine->submit(
        {.prompt = {1}, .sampling = sampling, .max_tokens = 1, .logprobs = logprobs});
    return id.ok() ? "accepted" : id.error().to_string();
  };
  EXPECT_EQ(refusal({.min_p = 1.5f}), "min-p must be from 0 to 1 (min-p = 1.5)");
  EXPECT_EQ(refusal({.repetition_penalty = 0}),
            "the repetition penalty must be above 0 (repetition-penalty = 0)");
  EXPECT_EQ(refusal({.presence_penalty = -2.5f}),
            "a penalty must be from -2 to 2 (presence-penalty = -2.5)");
  EXPECT_EQ(refusal({.frequency_penalty = NAN}),
            "a penalty must be from -2 to 2 (frequency-penalty = nan)");
  EXPECT_EQ(refusal({.logit_bias = {{512, 1}}}),
            "a bias is given to a token that is none (id = 512, vocab_size = 512)");
  EXPECT_EQ(refusal({.logit_bias = {{1, 101}}}),
            "a bias must be from -100 to 100 (bias = 101, id = 1)");
  EXPECT_EQ(refusal({.logit_bias = {{1, 1}, {2, 1}, {1, 2}}}),
            "a token is given two biases (id = 1)");
  EXPECT_EQ(refusal({.logit_bias = std::vector<LogitBias>(301)}),
            "too many tokens have a bias (logit-bias = 301, most = 300)");
  EXPECT_EQ(refusal({}, 21),
            "log probabilities of too many tokens are wanted (logprobs = 21, most = 20)");
}

}  // namespace
}  // namespace braid::testing

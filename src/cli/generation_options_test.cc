#include "cli/generation_options.h"

#include <gtest/gtest.h>

#include "base/json.h"
#include "base/options_table.h"

namespace braid::cli {
namespace {

ParsedOptions options(const std::vector<std::string>& more) {
  std::vector<const char*> arguments = {"generate", "model"};
  for (const std::string& argument : more) arguments.push_back(argument.c_str());
  OptionSources sources = process_sources();
  sources.environment = [](const std::string&) { return std::nullopt; };
  return parse(braid_options(), arguments, sources).value();
}

// "temperature top_p top_k"
std::string sampling(const std::vector<std::string>& more, const model::SamplingDefaults& from) {
  const engine::SamplingParams params = sampling_params(options(more), from);
  return fmt::format("{} {} {}", params.temperature, params.top_p, params.top_k);
}

TEST(GenerationOptionsTest, WithoutAnyWordTheLikeliestToken) {
  EXPECT_EQ(sampling({}, {}), "0 1 0");
  EXPECT_EQ(sampling({"--seed", "5"}, {}), "0 1 0");
  EXPECT_EQ(sampling_params(options({"--seed", "5"}), {}).seed, 5u);
}

TEST(GenerationOptionsTest, RecommendationsHoldUnlessSamplingIsOff) {
  EXPECT_EQ(sampling({}, {.temperature = 0.5, .top_p = 0.25, .do_sample = true}), "0.5 0.25 0");
  EXPECT_EQ(sampling({}, {.temperature = 0.5, .top_k = 20}), "0.5 1 20");
  EXPECT_EQ(sampling({}, {.do_sample = true}), "1 1 0");
  EXPECT_EQ(sampling({}, {.top_p = 0.25}), "1 0.25 0");
  EXPECT_EQ(sampling({}, {.temperature = 0.5, .top_p = 0.25, .do_sample = false}), "0 1 0");
}

TEST(GenerationOptionsTest, OptionsWin) {
  const model::SamplingDefaults recommended{.temperature = 0.5, .top_p = 0.25, .do_sample = true};
  EXPECT_EQ(sampling({"--temperature", "0"}, recommended), "0 0.25 0");
  EXPECT_EQ(sampling({"--top-p", "1", "--top-k", "3"}, recommended), "0.5 1 3");
  EXPECT_EQ(sampling({"--temperature", "2"}, {.temperature = 0.5, .do_sample = false}), "2 1 0");
  EXPECT_EQ(sampling({"--top-k", "3"}, {.do_sample = false}), "1 1 3");
}

TEST(GenerationOptionsTest, PenaltiesCountWithoutSamplingToo) {
  const model::SamplingDefaults recommended{
      .min_p = 0.25, .do_sample = false, .repetition_penalty = 1.5, .presence_penalty = 0.5};
  const engine::SamplingParams params = sampling_params(options({}), recommended);
  EXPECT_EQ(params.temperature, 0);
  EXPECT_EQ(params.min_p, 0);
  EXPECT_EQ(params.repetition_penalty, 1.5f);
  EXPECT_EQ(params.presence_penalty, 0.5f);
  const engine::SamplingParams chosen = sampling_params(
      options({"--repetition-penalty", "1", "--frequency-penalty", "-0.5", "--min-p", "0.1"}),
      recommended);
  EXPECT_EQ(chosen.temperature, 1);
  EXPECT_EQ(chosen.min_p, 0.1f);
  EXPECT_EQ(chosen.repetition_penalty, 1);
  EXPECT_EQ(chosen.frequency_penalty, -0.5f);
}

TEST(GenerationOptionsTest, BiasesAreReadOrRefused) {
  const auto biases =
      logit_biases(options({"--logit-bias", "42=-1.5", "--logit-bias", "7=100"})).value();
  ASSERT_EQ(biases.size(), 2u);
  EXPECT_EQ(biases[0].id, 42);
  EXPECT_EQ(biases[0].bias, -1.5f);
  EXPECT_EQ(biases[1].bias, 100);
  for (const char* text : {"", "42", "42=", "=1", "x=1", "4x=1", "4=1x", "4=1=2", " 4=1"}) {
    const auto refused = logit_biases(options({"--logit-bias", text}));
    ASSERT_FALSE(refused.ok()) << text;
    EXPECT_EQ(refused.error().kind(), ErrorKind::usage);
  }
}

TEST(GenerationOptionsTest, StopTexts) {
  EXPECT_TRUE(stop_texts(options({}))->empty());
  EXPECT_EQ(stop_texts(options({"--stop", "a", "--stop=b"})).value(),
            (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(stop_texts(options({"--stop="})).error().kind(), ErrorKind::usage);
}

TEST(GenerationOptionsTest, AnAnswerFitsTheContext) {
  EXPECT_EQ(answer_tokens(options({}), 10, 100, 256).value(), 90);
  EXPECT_EQ(answer_tokens(options({}), 10, 1000, 256).value(), 256);
  EXPECT_EQ(answer_tokens(options({"--max-tokens", "90"}), 10, 100, 5).value(), 90);
  for (const std::vector<std::string>& more :
       std::vector<std::vector<std::string>>{{}, {"--max-tokens", "1"}}) {
    const auto refused = answer_tokens(options(more), 100, 100, 256);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().remedy(), "Shorten the prompt.");
  }
  EXPECT_EQ(answer_tokens(options({"--max-tokens", "91"}), 10, 100, 5).error().remedy(),
            "Lower --max-tokens to 90 or less.");
}

TEST(GenerationOptionsTest, Summaries) {
  const engine::TextResult result{.text = "a\xff",
                                  .ids = {1, 2, 3},
                                  .finished = engine::FinishReason::stop,
                                  .prompt_tokens = 10,
                                  .prefill_seconds = 0.5,
                                  .decode_seconds = 0.5};
  EXPECT_EQ(summary(result),
            "10 prompt tokens, 3 generated, prefill 20.0 tokens/s, decode 4.0 tokens/s, finished: "
            "stop");
  EXPECT_EQ(to_json(result)["finish_reason"], "stop");
  EXPECT_EQ(to_json(result)["ids"].size(), 3u);
}

}  // namespace
}  // namespace braid::cli

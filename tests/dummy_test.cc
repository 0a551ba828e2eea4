// Engines without a checkpoint: weights made up from config.json alone, and experts chosen by a
// rule instead of the router.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "support/checkpoint_copy.h"
#include "support/prompt.h"

namespace braid::testing {
namespace {

namespace fs = std::filesystem;
using kernels::Choice;

std::vector<int32_t> counted_prompt(size_t tokens) {
  std::vector<int32_t> prompt;
  for (size_t i = 0; i < tokens; ++i) prompt.push_back(static_cast<int32_t>(i * 37 % 512));
  return prompt;
}

// Runs a prompt with dummy weights in a folder that holds a golden's config.json and nothing else.
std::vector<TokenRecord> run_config(const std::string& golden, size_t tokens,
                                    Choice choice = Choice::router, double exponent = 1) {
  const std::string folder = make_temp_folder();
  fs::copy_file(golden_folder(golden) + "/config.json", folder + "/config.json");
  start::EngineOptions options = prompt_options(tokens);
  options.worker.model.choice = choice;
  options.worker.model.zipf_exponent = exponent;
  const auto engine = open_dummy(folder, options);
  fs::remove_all(folder);
  return run_prompt(*engine, counted_prompt(tokens));
}

// Rows of each expert in one layer; empty for a dense layer.
std::vector<int64_t> rows_per_expert(const std::vector<TokenRecord>& records, size_t layer) {
  std::vector<int64_t> rows(records.front().router_logits[layer].size());
  for (const TokenRecord& record : records) {
    for (const int32_t expert : record.experts[layer]) ++rows[static_cast<size_t>(expert)];
  }
  return rows;
}

class DummyTest : public ::testing::TestWithParam<std::string> {};

TEST_P(DummyTest, RunsFromConfigAloneAndTwiceTheSame) {
  const std::vector<float> first = logits_of(run_config(GetParam(), 24));
  const std::vector<float> second = logits_of(run_config(GetParam(), 24));
  EXPECT_TRUE(same_bytes(first, second));
  const auto [low, high] = std::minmax_element(first.begin(), first.end());
  EXPECT_LT(*low, -0.1f);  // neither zeros nor NaN, and of a sane size
  EXPECT_GT(*high, 0.1f);
  EXPECT_LT(std::max(-*low, *high), 10.0f);
}

INSTANTIATE_TEST_SUITE_P(Models, DummyTest,
                         ::testing::Values("glm4_moe", "deepseek_v2", "deepseek_v3", "qwen2",
                                           "qwen3_moe", "mixtral"),
                         [](const auto& info) { return info.param; });

class ChoiceTest : public ::testing::TestWithParam<std::string> {};

// 96 rows of K experts are a multiple of every number of experts here.
TEST_P(ChoiceTest, BalancedGivesEveryExpertTheSameRows) {
  const std::vector<TokenRecord> records = run_config(GetParam(), 96, Choice::balanced);
  int moe_layers = 0;
  for (size_t layer = 0; layer < records.front().experts.size(); ++layer) {
    const std::vector<int64_t> rows = rows_per_expert(records, layer);
    if (rows.empty()) continue;
    ++moe_layers;
    const auto top_k = static_cast<int64_t>(records.front().experts[layer].size());
    const auto num_experts = static_cast<int64_t>(rows.size());
    ASSERT_EQ(96 * top_k % num_experts, 0);
    EXPECT_EQ(rows, std::vector<int64_t>(rows.size(), 96 * top_k / num_experts)) << layer;
  }
  EXPECT_GT(moe_layers, 0);
}

// Its weights are still the router's: of the scores of the experts that were chosen.
TEST_P(ChoiceTest, ARuleReplacesTheChoiceNotTheRouter) {
  const std::vector<TokenRecord> routed = run_config(GetParam(), 96);
  const std::vector<TokenRecord> balanced = run_config(GetParam(), 96, Choice::balanced);
  size_t first = 0;  // the first MoE layer: what comes before is the same
  while (routed.front().experts[first].empty()) ++first;
  bool chose_alike = true;
  for (size_t token = 0; token < routed.size(); ++token) {
    ASSERT_TRUE(
        same_bytes(routed[token].router_logits[first], balanced[token].router_logits[first]));
    chose_alike = chose_alike && routed[token].experts[first] == balanced[token].experts[first];
    for (const float weight : balanced[token].expert_weights[first]) ASSERT_GT(weight, 0.0f);
  }
  EXPECT_FALSE(chose_alike);
}

// How likely one expert is among `draws` of those that are left: drawn one by one without
// replacement, each in proportion to its weight.
double chance_of(size_t expert, int draws, std::vector<double>& weights) {
  double total = 0;
  for (const double weight : weights) total += weight;
  double chance = weights[expert] / total;
  if (draws == 1) return chance;
  for (size_t other = 0; other < weights.size(); ++other) {
    if (other == expert || weights[other] == 0) continue;
    const double weight = std::exchange(weights[other], 0);
    chance += weight / total * chance_of(expert, draws - 1, weights);
    weights[other] = weight;
  }
  return chance;
}

TEST_P(ChoiceTest, ZipfSkewsAsExpected) {
  constexpr size_t kRows = 768;
  for (const double exponent : {0.5, 1.0}) {
    const std::vector<TokenRecord> records = run_config(GetParam(), kRows, Choice::zipf, exponent);
    for (size_t layer = 0; layer < records.front().experts.size(); ++layer) {
      const std::vector<int64_t> rows = rows_per_expert(records, layer);
      if (rows.empty()) continue;
      const auto top_k = static_cast<int>(records.front().experts[layer].size());
      std::vector<double> weights;
      for (size_t i = 0; i < rows.size(); ++i) {
        weights.push_back(std::pow(static_cast<double>(i + 1), -exponent));
      }
      for (size_t expert = 0; expert < rows.size(); ++expert) {
        const double expected = chance_of(expert, top_k, weights);
        const double deviation = std::sqrt(expected * (1 - expected) / kRows);
        EXPECT_NEAR(static_cast<double>(rows[expert]) / kRows, expected, 4 * deviation)
            << "layer " << layer << " expert " << expert << " exponent " << exponent;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, ChoiceTest,
                         ::testing::Values("glm4_moe", "deepseek_v2", "deepseek_v3", "qwen3_moe",
                                           "mixtral"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace braid::testing

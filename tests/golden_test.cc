// Every supported architecture and quantized format against tests/goldens: logits, hidden states,
// experts and greedy continuations, through the whole engine, on one rank and on several.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "support/models.h"
#include "support/tap.h"

namespace braid::testing {
namespace {

constexpr float kLogitError = 1e-4f;         // absolute
constexpr float kHiddenError = 1e-4f;        // times the largest value
constexpr float kExpertWeightError = 1e-5f;  // absolute

start::EngineOptions all_probes(int32_t chunk, const layout::LayoutOptions& layout = {}) {
  start::EngineOptions options{.layout = layout,
                               .context_length = 256,
                               .max_running = 2,
                               .chunked_prefill_size = chunk,
                               .page_size = 16};
  options.worker.model.probes = {.all_logits = true, .hidden = true, .routing = true};
  return options;
}

engine::RequestId submit(engine::Engine& engine, const std::vector<int32_t>& prompt,
                         int32_t max_tokens) {
  return engine.submit({.prompt = prompt, .max_tokens = max_tokens}).value();
}

float largest(const std::vector<float>& values) {
  float most = 0;
  for (const float value : values) most = std::max(most, std::abs(value));
  return most;
}

// Weights by expert id, so that the order of the chosen experts doesn't matter.
std::map<int32_t, float> by_id(const int32_t* ids, const float* weights, size_t count) {
  std::map<int32_t, float> result;
  for (size_t i = 0; i < count; ++i) result[ids[i]] = weights[i];
  return result;
}

void expect_logits(const std::string& name, const std::vector<TokenRecord>& records) {
  const std::vector<float> expected = golden_floats(name, "logits");
  const size_t vocab = records.front().logits.size();
  float worst = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    worst = std::max(worst, std::abs(records[i / vocab].logits[i % vocab] - expected[i]));
  }
  EXPECT_LE(worst, kLogitError) << name;
  ::testing::Test::RecordProperty("logit_error", fmt::format("{}", worst));
}

void expect_hidden(const std::string& name, const std::vector<TokenRecord>& records,
                   size_t tokens) {
  for (size_t layer = 0; layer < records.front().hidden.size(); ++layer) {
    const std::vector<float> expected = golden_floats(name, fmt::format("hidden.{}", layer));
    const size_t width = expected.size() / tokens;
    float worst = 0;
    for (size_t i = 0; i < expected.size(); ++i) {
      const float got = records[i / width].hidden[layer][i % width];
      worst = std::max(worst, std::abs(got - expected[i]));
    }
    EXPECT_LE(worst, kHiddenError * largest(expected)) << name << " layer " << layer;
  }
}

void expect_routing(const std::string& name, const std::vector<TokenRecord>& records,
                    size_t tokens) {
  int moe_layers = 0;
  for (size_t layer = 0; layer < records.front().experts.size(); ++layer) {
    const size_t top_k = records.front().experts[layer].size();
    if (top_k == 0) continue;
    ++moe_layers;
    const std::vector<int32_t> ids = golden_ids(name, fmt::format("experts.{}", layer));
    const std::vector<float> weights = golden_floats(name, fmt::format("expert_weights.{}", layer));
    for (size_t token = 0; token < tokens; ++token) {
      const auto expected = by_id(&ids[token * top_k], &weights[token * top_k], top_k);
      const auto got = by_id(records[token].experts[layer].data(),
                             records[token].expert_weights[layer].data(), top_k);
      for (const auto& [id, weight] : expected) {
        ASSERT_TRUE(got.count(id)) << name << " layer " << layer << " token " << token;
        EXPECT_NEAR(got.at(id), weight, kExpertWeightError)
            << name << " layer " << layer << " token " << token;
      }
    }
  }
  EXPECT_EQ(moe_layers > 0, name != "qwen2");
}

class GoldenTest : public ::testing::TestWithParam<std::string> {};
class GreedyTest : public ::testing::TestWithParam<std::string> {};

const auto kUnquantized =
    ::testing::Values("glm4_moe", "deepseek_v2", "deepseek_v3", "qwen2", "qwen3_moe", "mixtral");
// Their references have neither hidden states nor continuations.
const auto kQuantized =
    ::testing::Values("glm4_moe_fp8_block", "deepseek_v3_fp8_block", "mixtral_fp8_tensor",
                      "qwen3_moe_fp8_channel", "glm4_moe_nvfp4");

std::string test_name(const ::testing::TestParamInfo<std::string>& info) { return info.param; }

// `others`: requests beside the one whose numbers are known.
void expect_reference(const std::string& name, const layout::LayoutOptions& layout,
                      int32_t others = 0) {
  const bool quantized = name.find("fp") != std::string::npos;
  const auto engine = open_engine(golden_folder(name), all_probes(96, layout));
  Tap tap(*engine);
  const std::vector<int32_t> ids = golden_ids(name, "input_ids");
  for (int32_t other = 0; other < others; ++other) submit(*engine, {ids[1], ids[2]}, 5 + 3 * other);
  const auto request = submit(*engine, ids, 1);
  run_to_end(*engine);
  const std::vector<TokenRecord>& records = tap.of(request);
  ASSERT_EQ(records.size(), ids.size());
  expect_logits(name, records);
  expect_routing(name, records, ids.size());
  if (!quantized) expect_hidden(name, records, ids.size());
}

// A model without experts has no groups of ranks with requests of their own.
void expect_refusal(const model::ModelConfig& config, const layout::LayoutOptions& layout) {
  const auto refused = layout::make_layout(model::layout_sizes(config), layout);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind(), ErrorKind::usage);
}

TEST_P(GoldenTest, Float32MatchesTheReference) { expect_reference(GetParam(), {}); }

// All layouts of two and four ranks that the model can have.
TEST_P(GoldenTest, SeveralRanksMatchTheReference) {
  const model::ModelConfig config = model::load_config(golden_folder(GetParam())).value();
  int layouts = 0;
  for (const int32_t tp : {2, 4}) {
    for (const int32_t ep : {1, 2, 4}) {
      const layout::LayoutOptions layout{.tp = tp, .ep = ep};
      if (!layout::make_layout(model::layout_sizes(config), layout).ok()) continue;
      SCOPED_TRACE(fmt::format("tp {} ep {}", tp, ep));
      expect_reference(GetParam(), layout);
      ++layouts;
    }
  }
  const bool two_heads = GetParam().starts_with("deepseek");
  EXPECT_EQ(layouts, two_heads || !config.moe ? 2 : 5);
}

// Groups of ranks with requests of their own: the known request runs on the first one, the others
// idle, or on the last one, the others decoding at first and idle then.
TEST_P(GoldenTest, GroupsOfRanksMatchTheReference) {
  const model::ModelConfig config = model::load_config(golden_folder(GetParam())).value();
  for (const auto& [dp, tp, ep] :
       {std::tuple{2, 1, 0}, {2, 1, 1}, {2, 2, 0}, {2, 2, 2}, {4, 1, 0}, {4, 1, 2}}) {
    SCOPED_TRACE(fmt::format("dp {} tp {} ep {}", dp, tp, ep));
    if (!config.moe) {
      expect_refusal(config, {.tp = tp, .ep = ep, .dp = dp});
      continue;
    }
    for (const int32_t others : {0, dp - 1}) {
      expect_reference(GetParam(), {.tp = tp, .ep = ep, .dp = dp}, others);
    }
  }
}

// Eight ranks, of which the last group idles and the others have rows of their own. BRAID_LONG:
// with every way to spread the experts.
TEST_P(GoldenTest, EightRanksMatchTheReference) {
  const model::ModelConfig config = model::load_config(golden_folder(GetParam())).value();
  const bool all = std::getenv("BRAID_LONG") != nullptr;
  int layouts = 0;
  for (const auto& [dp, tp] : {std::pair{8, 1}, {4, 2}, {2, 4}}) {
    for (const int32_t ep : {8, 4, 2, 1}) {
      const layout::LayoutOptions layout{.tp = tp, .ep = ep, .dp = dp};
      if (!config.moe) expect_refusal(config, layout);
      if (!layout::make_layout(model::layout_sizes(config), layout).ok()) continue;
      ++layouts;
      if (!all && ep != dp) continue;
      SCOPED_TRACE(fmt::format("dp {} tp {} ep {}", dp, tp, ep));
      expect_reference(GetParam(), layout, dp - 2);
    }
  }
  const bool two_heads = GetParam().starts_with("deepseek");
  EXPECT_EQ(layouts, config.moe ? (two_heads ? 8 : 12) : 0);
}

TEST_P(GreedyTest, GreedyContinuationIsTheReferences) {
  const std::string& name = GetParam();
  const auto engine = open_engine(golden_folder(name), all_probes(32));
  const std::vector<int32_t> expected = golden_ids(name, "greedy");
  const auto request =
      submit(*engine, golden_ids(name, "input_ids"), static_cast<int32_t>(expected.size()));
  EXPECT_EQ(run_to_end(*engine)[request], expected);
}

INSTANTIATE_TEST_SUITE_P(Unquantized, GoldenTest, kUnquantized, test_name);
INSTANTIATE_TEST_SUITE_P(Quantized, GoldenTest, kQuantized, test_name);
INSTANTIATE_TEST_SUITE_P(Unquantized, GreedyTest, kUnquantized, test_name);

}  // namespace
}  // namespace braid::testing

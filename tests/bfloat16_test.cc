// bfloat16 weights and activations against the float32 references: how far logits move when the
// experts stay, and that experts change only where their scores nearly tie.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include "support/checkpoint_copy.h"
#include "support/prompt.h"

namespace braid::testing {
namespace {

using model::GroupScore;
using model::RouterConfig;
using model::RouterScore;
using Experts = std::set<int32_t>;

constexpr double kLogitError = 2e-2;           // relative, of all logits together
constexpr double kRowError = 3 * kLogitError;  // of one token's logits
constexpr double kTieMargin = 0.05;            // of the K-th score
constexpr double kKept = 0.9;                  // of the tokens keep their experts

std::unique_ptr<engine::Engine> open_bf16(const std::string& golden, bool force_routing) {
  start::EngineOptions options = prompt_options(golden_ids(golden, "input_ids").size());
  options.worker.model.dtype = Format::bf16;
  options.worker.model.probes.force_routing = force_routing;
  return open_engine(golden_folder(golden), options);
}

std::string test_name(const ::testing::TestParamInfo<std::string>& info) { return info.param; }

class ForcedRoutingTest : public ::testing::TestWithParam<std::string> {};

TEST_P(ForcedRoutingTest, LogitsStayWithinTheBound) {
  const std::string& golden = GetParam();
  const auto engine = open_bf16(golden, true);
  force_experts(*engine, golden);
  const std::vector<float> got = logits_of(run_prompt(*engine, golden_ids(golden, "input_ids")));
  const std::vector<float> expected = golden_floats(golden, "logits");
  const double error = relative_error(got, expected);
  EXPECT_LE(error, kLogitError);
  EXPECT_GT(error, 1e-4);  // bfloat16 is in use
  const auto vocab = static_cast<size_t>(engine->config().vocab_size);
  double worst = 0;
  for (size_t first = 0; first < got.size(); first += vocab) {
    worst = std::max(worst, relative_error(std::span(got).subspan(first, vocab),
                                           std::span(expected).subspan(first, vocab)));
  }
  EXPECT_LE(worst, kRowError);
  RecordProperty("relative_error", fmt::format("{}", error));
  RecordProperty("worst_row", fmt::format("{}", worst));
}

INSTANTIATE_TEST_SUITE_P(Models, ForcedRoutingTest,
                         ::testing::Values("glm4_moe", "deepseek_v2", "deepseek_v3", "qwen2",
                                           "qwen3_moe", "mixtral"),
                         test_name);

// What a router selects by, and how: a second implementation, from the formulas. Mixtral's softmax
// over the chosen logits selects as a softmax over all does.
class Selection {
 public:
  Selection(const RouterConfig& router, const std::vector<float>& logits,
            const std::vector<float>& bias)
      : router_(router), scores_(logits.begin(), logits.end()) {
    const double total =
        std::accumulate(scores_.begin(), scores_.end(), 0.0,
                        [](double sum, double logit) { return sum + std::exp(logit); });
    for (size_t e = 0; e < scores_.size(); ++e) {
      const bool sigmoid = router.score == RouterScore::sigmoid;
      scores_[e] = sigmoid ? 1 / (1 + std::exp(-scores_[e])) : std::exp(scores_[e]) / total;
      if (router.correction_bias) scores_[e] += double{bias[e]};
    }
  }

  const std::vector<double>& scores() const { return scores_; }

  std::vector<double> group_scores() const {
    std::vector<double> result;
    for (int64_t g = 0; g < router_.n_group; ++g) {
      std::vector<double> group(scores_.begin() + g * group_size(),
                                scores_.begin() + (g + 1) * group_size());
      std::sort(group.rbegin(), group.rend());
      result.push_back(router_.group_score == GroupScore::max ? group[0] : group[0] + group[1]);
    }
    return result;
  }

  Experts groups() const { return best(group_scores(), router_.topk_group); }

  // The K best experts of these groups.
  Experts experts(const Experts& groups, int64_t top_k) const {
    std::vector<double> kept = scores_;
    for (size_t e = 0; e < kept.size(); ++e) {
      if (groups.count(static_cast<int32_t>(static_cast<int64_t>(e) / group_size())) == 0) {
        kept[e] = -std::numeric_limits<double>::infinity();
      }
    }
    return best(kept, top_k);
  }

 private:
  int64_t group_size() const { return std::ssize(scores_) / router_.n_group; }

  static Experts best(const std::vector<double>& values, int64_t count) {
    std::vector<int32_t> order(values.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
      return values[static_cast<size_t>(a)] > values[static_cast<size_t>(b)];
    });
    return {order.begin(), order.begin() + count};
  }

  RouterConfig router_;
  std::vector<double> scores_;  // [E]
};

// How far the values that were given up stood above those that were taken instead, in parts of the
// lowest chosen value: the highest one given up against the lowest one taken.
double margin(const std::vector<double>& values, const Experts& chosen, const Experts& instead) {
  if (chosen == instead) return 0;
  const auto value = [&](int32_t i) { return values[static_cast<size_t>(i)]; };
  std::vector<double> all, given_up, taken;
  for (const int32_t i : chosen) {
    all.push_back(value(i));
    if (instead.count(i) == 0) given_up.push_back(value(i));
  }
  for (const int32_t i : instead) {
    if (chosen.count(i) == 0) taken.push_back(value(i));
  }
  return (*std::max_element(given_up.begin(), given_up.end()) -
          *std::min_element(taken.begin(), taken.end())) /
         *std::min_element(all.begin(), all.end());
}

TEST(MarginTest, IsSmallForNearTiesOnly) {
  const std::vector<double> values = {0.5, 0.2, 0.1, 0.099, 0.05};
  EXPECT_EQ(margin(values, {0, 1, 2}, {0, 1, 2}), 0);
  EXPECT_NEAR(margin(values, {0, 1, 2}, {0, 1, 3}), 0.01, 1e-12);
  EXPECT_NEAR(margin(values, {0, 1, 2}, {1, 2, 3}), 4.01, 1e-12);
  EXPECT_NEAR(margin(values, {0, 1, 2}, {0, 1, 4}), 0.5, 1e-12);
  EXPECT_NEAR(margin(values, {0, 1, 2}, {0, 3, 4}), 1.5, 1e-12);
}

Experts set_of(const std::vector<int32_t>& ids) { return {ids.begin(), ids.end()}; }

// One golden's prompt in float32 and in bfloat16, each routed by itself.
struct TwoRuns {
  explicit TwoRuns(const std::string& golden) : checkpoint(golden_folder(golden)) {
    prompt = golden_ids(golden, "input_ids");
    exact = run_prompt(*open_engine(golden_folder(golden), prompt_options(prompt.size())), prompt);
    const auto engine = open_bf16(golden, false);
    rounded = run_prompt(*engine, prompt);
    moe = *engine->config().moe;
  }

  Selection selection(const TokenRecord& record, size_t layer) const {
    const auto bias = fmt::format("model.layers.{}.mlp.gate.e_score_correction_bias", layer);
    return {moe.router, record.router_logits[layer],
            moe.router.correction_bias ? checkpoint.floats(bias) : std::vector<float>()};
  }

  // Checks one token's experts in one layer; whether it kept them.
  bool expect_near_tie(size_t layer, size_t token) const {
    const Selection exactly = selection(exact[token], layer);
    const Selection roughly = selection(rounded[token], layer);
    const Experts before = set_of(exact[token].experts[layer]);
    const Experts after = set_of(rounded[token].experts[layer]);
    EXPECT_EQ(before, exactly.experts(exactly.groups(), moe.top_k));
    EXPECT_EQ(after, roughly.experts(roughly.groups(), moe.top_k));
    if (before == after) return true;
    // First the groups that were kept, then the experts that float32 would have chosen in those.
    EXPECT_LE(margin(exactly.group_scores(), exactly.groups(), roughly.groups()), kTieMargin)
        << "layer " << layer << " token " << token;
    const Experts in_those = exactly.experts(roughly.groups(), moe.top_k);
    EXPECT_LE(margin(exactly.scores(), in_those, after), kTieMargin)
        << "layer " << layer << " token " << token;
    return false;
  }

  CheckpointCopy checkpoint;
  std::vector<int32_t> prompt;
  std::vector<TokenRecord> exact, rounded;
  model::MoeConfig moe;
};

class FreeRoutingTest : public ::testing::TestWithParam<std::string> {};

TEST_P(FreeRoutingTest, ExpertsChangeOnlyWhereScoresNearlyTie) {
  const TwoRuns runs(GetParam());
  size_t kept = 0;
  for (size_t token = 0; token < runs.prompt.size(); ++token) {
    bool keeps = true;
    for (size_t layer = 0; layer < runs.exact[token].experts.size(); ++layer) {
      if (runs.exact[token].experts[layer].empty()) continue;
      if (!runs.expect_near_tie(layer, token)) keeps = false;
    }
    if (keeps) ++kept;
  }
  EXPECT_GE(static_cast<double>(kept), kKept * static_cast<double>(runs.prompt.size()));
  RecordProperty("kept", static_cast<int>(kept));
}

INSTANTIATE_TEST_SUITE_P(Models, FreeRoutingTest,
                         ::testing::Values("glm4_moe", "deepseek_v2", "deepseek_v3", "qwen3_moe",
                                           "mixtral"),
                         test_name);

}  // namespace
}  // namespace braid::testing

#include <algorithm>
#include <limits>
#include <numeric>
#include <set>

#include "kernels/cpu/test_support.h"
#include "kernels/moe/cpu/moe.h"

namespace braid::kernels::cpu {
namespace {

struct Routed {
  Grid<int32_t> ids;
  Grid<float> weights;
};

struct Inputs {
  Grid<float> logits;
  std::vector<float> bias;
  std::vector<int32_t> slots;
  std::vector<int32_t> forced;  // [rows, K] or empty
  std::vector<float> popularity;
  int64_t first_row = 0;
  Matrix<uint64_t> heat;

  explicit Inputs(Grid<float> all) : logits(std::move(all)) {
    slots.resize(static_cast<size_t>(logits.rows()), 5);
  }
};

Routed run(const RouteDesc& desc, const Inputs& in, int64_t first, int64_t rows) {
  Routed out{Grid<int32_t>(rows, desc.top_k), Grid<float>(rows, desc.top_k, 1)};
  std::vector<std::byte> scratch(static_cast<size_t>(route_scratch_bytes(desc)));
  RouteArgs args;
  args.rows = rows;
  args.logits = in.logits.input(first);
  args.bias = in.bias.empty() ? nullptr : in.bias.data();
  args.slots = in.slots.data() + first;
  if (!in.forced.empty()) args.forced = {in.forced.data() + first * desc.top_k, desc.top_k};
  args.popularity = in.popularity.empty() ? nullptr : in.popularity.data();
  args.first_row = in.first_row + first;
  args.ids = out.ids.matrix();
  args.weights = out.weights.matrix();
  args.heat = in.heat;
  route(desc, args, scratch.data());
  out.weights.expect_padding_kept();
  return out;
}

Routed run(const RouteDesc& desc, const Inputs& in) { return run(desc, in, 0, in.logits.rows()); }

Inputs random_inputs(Random& random, const RouteDesc& desc, int64_t rows, bool with_bias) {
  Grid<float> logits(random, rows, desc.num_experts, 2);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t e = 0; e < desc.num_experts; ++e) logits.at(r, e) *= 4;
  }
  Inputs in(std::move(logits));
  for (int32_t e = 0; with_bias && e < desc.num_experts; ++e) {
    in.bias.push_back(random_value<float>(random));
  }
  return in;
}

// The definition in double, over every expert and group.
struct Exact {
  std::vector<double> scores;
  std::vector<double> selection;
  std::vector<int32_t> ids;
};

bool better(const std::vector<double>& values, size_t a, size_t b) {
  return values[a] > values[b] || (values[a] == values[b] && a < b);
}

std::vector<size_t> ranking(const std::vector<double>& values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return better(values, a, b); });
  return order;
}

std::vector<double> exact_softmax(std::vector<double> values) {
  const double highest = *std::max_element(values.begin(), values.end());
  double sum = 0;
  for (double& value : values) sum += value = std::exp(value - highest);
  for (double& value : values) value /= sum;
  return values;
}

Exact exact(const RouteDesc& desc, const Inputs& in, int64_t row) {
  Exact out;
  for (int64_t e = 0; e < desc.num_experts; ++e) {
    const double x = in.logits.value(row, e);
    out.scores.push_back(desc.score == Score::sigmoid ? 1 / (1 + std::exp(-x)) : x);
  }
  if (desc.score == Score::softmax) out.scores = exact_softmax(out.scores);
  out.selection = out.scores;
  for (size_t e = 0; e < in.bias.size(); ++e) out.selection[e] += static_cast<double>(in.bias[e]);
  const size_t groups = static_cast<size_t>(desc.num_groups);
  const size_t size = out.scores.size() / groups;
  std::vector<double> group_scores;
  for (size_t g = 0; g < groups; ++g) {
    std::vector<double> members(out.selection.begin() + static_cast<int64_t>(g * size),
                                out.selection.begin() + static_cast<int64_t>((g + 1) * size));
    std::sort(members.rbegin(), members.rend());
    const bool two = desc.group_score == GroupScore::sum_of_top2 && size > 1;
    group_scores.push_back(two ? members[0] + members[1] : members[0]);
  }
  const auto order = ranking(group_scores);
  for (size_t i = static_cast<size_t>(desc.topk_groups); i < groups; ++i) {
    for (size_t e = order[i] * size; e < (order[i] + 1) * size; ++e) {
      out.selection[e] = -std::numeric_limits<double>::infinity();
    }
  }
  for (const size_t e : ranking(out.selection)) out.ids.push_back(static_cast<int32_t>(e));
  out.ids.resize(static_cast<size_t>(desc.top_k));
  return out;
}

std::vector<double> exact_weights(const RouteDesc& desc, const Exact& row,
                                  const std::vector<int32_t>& ids) {
  std::vector<double> out;
  for (const int32_t id : ids) out.push_back(row.scores[static_cast<size_t>(id)]);
  if (desc.score == Score::softmax_of_topk) out = exact_softmax(out);
  const double sum = std::accumulate(out.begin(), out.end(), 1e-20);
  for (double& weight : out) {
    if (desc.normalize != 0) weight /= sum;
    weight *= static_cast<double>(desc.scaling_factor);
  }
  return out;
}

void check(const RouteDesc& desc, const Inputs& in) {
  Routed got = run(desc, in);
  for (int64_t row = 0; row < in.logits.rows(); ++row) {
    const Exact want = exact(desc, in, row);
    const auto weights = exact_weights(desc, want, want.ids);
    for (int64_t k = 0; k < desc.top_k; ++k) {
      const auto i = static_cast<size_t>(k);
      ASSERT_EQ(got.ids.at(row, k), want.ids[i]) << "row " << row << " place " << k;
      ASSERT_NEAR(got.weights.value(row, k), weights[i], 2e-6 * std::abs(weights[i]) + 1e-9);
    }
  }
}

RouteDesc glm(int32_t experts, int32_t top_k) {
  RouteDesc desc;
  desc.num_experts = experts;
  desc.top_k = top_k;
  desc.score = Score::sigmoid;
  desc.normalize = 1;
  desc.scaling_factor = 2.5f;
  return desc;
}

TEST(RouteTest, SigmoidWithBiasNormalisedAndScaled) {
  Random random(1);
  for (const int32_t experts : {1, 4, 16, 160}) {
    const RouteDesc desc = glm(experts, std::min(experts, 8));
    check(desc, random_inputs(random, desc, 40, true));
    check(desc, random_inputs(random, desc, 40, false));
  }
}

TEST(RouteTest, SigmoidWithGroupsScoredByTheirBestTwo) {
  Random random(2);
  RouteDesc desc = glm(64, 6);
  desc.num_groups = 8;
  desc.group_score = GroupScore::sum_of_top2;
  for (const int32_t kept : {1, 4, 8}) {
    desc.topk_groups = kept;
    check(desc, random_inputs(random, desc, 60, true));
  }
  desc.num_groups = 64;  // groups of one
  desc.topk_groups = 10;
  check(desc, random_inputs(random, desc, 20, true));
}

TEST(RouteTest, SoftmaxWithGroupsScoredByTheirBest) {
  Random random(3);
  RouteDesc desc;
  desc.num_experts = 40;
  desc.top_k = 6;
  desc.num_groups = 5;
  desc.topk_groups = 3;
  desc.scaling_factor = 16;
  check(desc, random_inputs(random, desc, 60, false));
}

TEST(RouteTest, SoftmaxNormalisedOrNot) {
  Random random(4);
  RouteDesc desc;
  desc.num_experts = 128;
  desc.top_k = 8;
  for (const int32_t normalize : {0, 1}) {
    desc.normalize = normalize;
    check(desc, random_inputs(random, desc, 40, false));
  }
}

TEST(RouteTest, SoftmaxOfTheChosenLogits) {
  Random random(5);
  RouteDesc desc;
  desc.num_experts = 8;
  desc.top_k = 2;
  desc.score = Score::softmax_of_topk;
  check(desc, random_inputs(random, desc, 60, false));
}

// The bias may change who is chosen, never what multiplies the output.
TEST(RouteTest, BiasIsForSelectionOnly) {
  Inputs in(Grid<float>(1, 3));
  for (int64_t e = 0; e < 3; ++e) in.logits.at(0, e) = 0;
  in.bias = {0, 100, 50};
  RouteDesc desc = glm(3, 2);
  desc.normalize = 0;
  Routed got = run(desc, in);
  EXPECT_EQ(got.ids.at(0, 0), 1);
  EXPECT_EQ(got.ids.at(0, 1), 2);
  EXPECT_EQ(got.weights.at(0, 0), 1.25f);
  EXPECT_EQ(got.weights.at(0, 1), 1.25f);
}

// With a bias that makes all selection scores negative, a dropped group must still not come back.
TEST(RouteTest, DroppedGroupsStayDroppedBelowZero) {
  Random random(6);
  RouteDesc desc = glm(8, 4);
  desc.num_groups = 2;
  desc.group_score = GroupScore::sum_of_top2;
  Inputs in = random_inputs(random, desc, 30, true);
  for (float& bias : in.bias) bias -= 10;
  check(desc, in);
}

TEST(RouteTest, TiesGoToTheLowerIdAndGroup) {
  for (const Score score : {Score::softmax, Score::sigmoid, Score::softmax_of_topk}) {
    RouteDesc desc = glm(12, 3);
    desc.score = score;
    Inputs in(Grid<float>(1, 12));
    for (int64_t e = 0; e < 12; ++e) in.logits.at(0, e) = e % 4 == 2 ? 1.0f : 0.5f;
    Routed got = run(desc, in);
    EXPECT_EQ(got.ids.at(0, 0), 2);
    EXPECT_EQ(got.ids.at(0, 1), 6);
    EXPECT_EQ(got.ids.at(0, 2), 10);
    desc.num_groups = 3;
    got = run(desc, in);
    EXPECT_EQ(got.ids.at(0, 0), 2);
    EXPECT_EQ(got.ids.at(0, 1), 0);
    EXPECT_EQ(got.ids.at(0, 2), 1);
  }
}

TEST(RouteTest, PaddingRowsGetNothing) {
  Random random(7);
  for (const Choice choice : {Choice::router, Choice::balanced}) {
    RouteDesc desc = glm(8, 3);
    desc.choice = choice;
    Inputs in = random_inputs(random, desc, 5, true);
    Routed all = run(desc, in);
    in.slots = {0, -1, 3, -1, -1};
    Routed got = run(desc, in);
    for (int64_t row = 0; row < 5; ++row) {
      const bool real = in.slots[static_cast<size_t>(row)] >= 0;
      for (int64_t k = 0; k < 3; ++k) {
        EXPECT_EQ(got.ids.at(row, k), real ? all.ids.at(row, k) : -1);
        EXPECT_EQ(got.weights.at(row, k), real ? all.weights.at(row, k) : 0.0f);
      }
    }
  }
}

TEST(RouteTest, ForcedIdsReplaceTheChoiceNotTheWeights) {
  Random random(8);
  for (const Score score : {Score::softmax, Score::sigmoid, Score::softmax_of_topk}) {
    RouteDesc desc = glm(10, 3);
    desc.score = score;
    Inputs in = random_inputs(random, desc, 3, true);
    Routed chosen = run(desc, in);
    in.forced = {9, 0, 4, -1, -1, -1, 2, 3, 1};
    Routed got = run(desc, in);
    for (const int64_t row : {0, 2}) {
      const std::vector<int32_t> ids(in.forced.begin() + row * 3, in.forced.begin() + row * 3 + 3);
      const auto weights = exact_weights(desc, exact(desc, in, row), ids);
      for (int64_t k = 0; k < 3; ++k) {
        const auto i = static_cast<size_t>(k);
        EXPECT_EQ(got.ids.at(row, k), ids[i]);
        EXPECT_NEAR(got.weights.value(row, k), weights[i], 2e-6 * weights[i]);
      }
    }
    EXPECT_TRUE(got.ids.same_row(1, chosen.ids, 1));
    EXPECT_TRUE(got.weights.same_row(1, chosen.weights, 1));
  }
}

TEST(RouteTest, BalancedChoiceFollowsRowAndLayer) {
  Random random(9);
  RouteDesc desc = glm(10, 4);
  desc.choice = Choice::balanced;
  desc.layer = 3;
  Inputs in = random_inputs(random, desc, 25, true);
  in.first_row = 100;
  Routed got = run(desc, in);
  std::vector<int> counts(10);
  for (int64_t row = 0; row < 25; ++row) {
    std::vector<int32_t> ids;
    for (int64_t k = 0; k < 4; ++k) {
      ids.push_back(static_cast<int32_t>(((100 + row) * 4 + k + 3) % 10));
      EXPECT_EQ(got.ids.at(row, k), ids.back());
      ++counts[static_cast<size_t>(ids.back())];
    }
    const auto weights = exact_weights(desc, exact(desc, in, row), ids);
    for (int64_t k = 0; k < 4; ++k) {
      EXPECT_NEAR(got.weights.value(row, k), weights[static_cast<size_t>(k)], 5e-6);
    }
  }
  EXPECT_EQ(counts, std::vector<int>(10, 10));
}

std::vector<float> zipf(int32_t experts) {
  std::vector<float> cumulative;
  float sum = 0;
  for (int32_t e = 0; e < experts; ++e) {
    sum += 1.0f / static_cast<float>(e + 1);
    cumulative.push_back(sum);
  }
  return cumulative;
}

TEST(RouteTest, ZipfDrawsDistinctExpertsByPopularity) {
  Random random(10);
  RouteDesc desc = glm(16, 4);
  desc.choice = Choice::zipf;
  Inputs in = random_inputs(random, desc, 4000, true);
  in.popularity = zipf(16);
  Routed got = run(desc, in);
  std::vector<int> first_counts(16), counts(16);
  for (int64_t row = 0; row < 4000; ++row) {
    std::set<int32_t> ids;
    for (int64_t k = 0; k < 4; ++k) ids.insert(got.ids.at(row, k));
    ASSERT_EQ(ids.size(), 4u);
    ASSERT_TRUE(*ids.begin() >= 0 && *ids.rbegin() < 16);
    for (const int32_t id : ids) ++counts[static_cast<size_t>(id)];
    ++first_counts[static_cast<size_t>(got.ids.at(row, 0))];
  }
  for (size_t e = 0; e < 16; ++e) {  // the first draw has the weights themselves
    const double expected = 4000.0 / (static_cast<double>(e + 1) * 3.380729);
    EXPECT_NEAR(first_counts[e], expected, 4.5 * std::sqrt(expected)) << e;
  }
  EXPECT_GT(counts[0], 2 * counts[4]);
}

TEST(RouteTest, ZipfDependsOnLayerAndRowOfTheStepAlone) {
  Random random(11);
  RouteDesc desc = glm(16, 4);
  desc.choice = Choice::zipf;
  Inputs in = random_inputs(random, desc, 50, false);
  in.popularity = zipf(16);
  Routed all = run(desc, in);
  Routed tail = run(desc, in, 20, 30);
  for (int64_t row = 0; row < 30; ++row) EXPECT_TRUE(tail.ids.same_row(row, all.ids, 20 + row));
  desc.layer = 1;
  Routed other = run(desc, in);
  int differs = 0;
  for (int64_t row = 0; row < 50; ++row) differs += other.ids.same_row(row, all.ids, row) ? 0 : 1;
  EXPECT_GT(differs, 40);
}

// One expert has all the weight: the others fill up, and the work stays bounded.
TEST(RouteTest, ZipfWithOneOverwhelmingExpert) {
  Random random(12);
  RouteDesc desc = glm(6, 6);
  desc.choice = Choice::zipf;
  Inputs in = random_inputs(random, desc, 1, false);
  in.popularity = {0, 0, 1, 1, 1, 1};
  Routed got = run(desc, in);
  for (int64_t k = 0; k < 6; ++k) EXPECT_EQ(got.ids.at(0, k), (2 + k) % 6);
}

TEST(RouteTest, LogitsThatAreNoNumbersStillGiveDistinctExperts) {
  for (const Score score : {Score::softmax, Score::sigmoid, Score::softmax_of_topk}) {
    RouteDesc desc = glm(6, 4);
    desc.score = score;
    desc.num_groups = 3;
    desc.topk_groups = 2;
    Inputs in(Grid<float>(2, 6));
    for (int64_t e = 0; e < 6; ++e) {
      in.logits.at(0, e) = std::nanf("");
      in.logits.at(1, e) = e % 2 == 0 ? std::nanf("") : -std::numeric_limits<float>::infinity();
    }
    Routed got = run(desc, in);
    for (int64_t row = 0; row < 2; ++row) {
      std::set<int32_t> ids;
      for (int64_t k = 0; k < 4; ++k) ids.insert(got.ids.at(row, k));
      EXPECT_EQ(ids.size(), 4u);
      EXPECT_TRUE(*ids.begin() >= 0 && *ids.rbegin() < 6);
    }
  }
}

// Rows of both phases, padding among them and forced ones, counted in a step's second half.
TEST(RouteTest, CountsEachChoiceInItsPhaseAndNoPadding) {
  Random random(15);
  for (const Choice choice : {Choice::router, Choice::balanced, Choice::zipf}) {
    RouteDesc desc = glm(12, 3);
    desc.choice = choice;
    desc.decode_rows = 120;
    Inputs in = random_inputs(random, desc, 50, true);
    in.popularity = zipf(12);
    in.first_row = 100;
    for (const size_t padding : {0, 7, 19, 20, 49}) in.slots[padding] = -1;
    in.forced.assign(50 * 3, -1);
    for (const size_t row : {3, 7, 30}) in.forced[row * 3] = 11;
    for (const size_t row : {3, 7, 30}) in.forced[row * 3 + 1] = 2, in.forced[row * 3 + 2] = 5;
    constexpr int64_t kStride = 15;
    std::vector<uint64_t> counters(2 * kStride);
    std::iota(counters.begin(), counters.end(), uint64_t{1} << 40);
    std::vector<uint64_t> expected = counters;
    in.heat = {counters.data(), kStride};
    Routed got = run(desc, in);
    for (int64_t row = 0; row < 50; ++row) {
      if (in.slots[static_cast<size_t>(row)] < 0) continue;
      const int64_t phase = row < 20 ? 0 : 1;
      for (int64_t k = 0; k < 3; ++k) {
        ++expected[static_cast<size_t>(phase * kStride + got.ids.at(row, k))];
      }
    }
    EXPECT_EQ(counters, expected);
    in.heat = {};
    const Routed uncounted = run(desc, in);
    for (int64_t row = 0; row < 50; ++row) {
      EXPECT_TRUE(uncounted.ids.same_row(row, got.ids, row));
      EXPECT_TRUE(uncounted.weights.same_row(row, got.weights, row));
    }
    EXPECT_EQ(counters, expected);
  }
}

TEST(RouteTest, IsRowInvariant) {
  Random random(13);
  for (const Score score : {Score::softmax, Score::sigmoid, Score::softmax_of_topk}) {
    for (const Choice choice : {Choice::router, Choice::balanced, Choice::zipf}) {
      RouteDesc desc = glm(30, 7);
      desc.score = score;
      desc.choice = choice;
      desc.num_groups = 5;
      desc.topk_groups = 3;
      Inputs in = random_inputs(random, desc, 67, true);
      in.popularity = zipf(30);
      in.slots[11] = -1;
      expect_row_invariant<float>(7, [&](int64_t first, int64_t count, Grid<float>& out) {
        Routed got = run(desc, in, first, count);
        for (int64_t r = 0; r < count; ++r) {
          std::copy_n(got.weights.input().row(r), 7, out.matrix().row(r));
        }
      });
      expect_row_invariant<int32_t>(7, [&](int64_t first, int64_t count, Grid<int32_t>& out) {
        Routed got = run(desc, in, first, count);
        for (int64_t r = 0; r < count; ++r) {
          std::copy_n(got.ids.input().row(r), 7, out.matrix().row(r));
        }
      });
    }
  }
}

TEST(RouteDeathTest, BrokenDescsAndForcedIdsAbort) {
  Random random(14);
  RouteDesc desc = glm(4, 5);
  const Inputs in = random_inputs(random, glm(4, 2), 1, false);
  EXPECT_DEATH(run(desc, in), "top_k 5");
  desc = glm(4, 2);
  desc.num_groups = 3;
  EXPECT_DEATH(run(desc, in), "num_groups 3");
  Inputs forced = in;
  forced.forced = {0, 4};
  EXPECT_DEATH(run(glm(4, 2), forced), "forced expert 4 of 4");
}

}  // namespace
}  // namespace braid::kernels::cpu

#include "lab/verification.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "model/testing.h"
#include "passes/chunk_collectives.h"
#include "passes/dual_stream.h"

namespace braid::lab {
namespace {

using layers::RowCounts;
using layers::StepShape;

TEST(VerificationTest, ShapesAreEveryBucketAndMixtures) {
  const auto shapes = representative_shapes({4, 16});
  const auto has = [&](int32_t decode, int32_t prefill) {
    const RowCounts rows{decode, prefill};
    return std::count(shapes.begin(), shapes.end(), StepShape{rows, rows});
  };
  for (const int32_t decode : {1, 2, 3, 4}) EXPECT_EQ(has(decode, 0), 1) << decode;
  for (const int32_t prefill : {1, 2, 3, 4, 6, 8, 12, 16}) EXPECT_EQ(has(0, prefill), 1) << prefill;
  for (const int32_t prefill : {1, 8, 16}) {
    EXPECT_EQ(has(1, prefill), 1);
    EXPECT_EQ(has(4, prefill), 1);
  }
  EXPECT_EQ(shapes.size(), 4u + 8 + 6);
  EXPECT_EQ(representative_shapes({1, 1}).size(), 3u);
}

TEST(VerificationTest, TheBoundGrowsBeyond64Layers) {
  EXPECT_DOUBLE_EQ(steps::compile_bound_us(5), 5000);
  EXPECT_DOUBLE_EQ(steps::compile_bound_us(64), 5000);
  EXPECT_DOUBLE_EQ(steps::compile_bound_us(96), 7500);
}

// Steps of a golden model on the ranks of a layout.
class StepCompilerTest : public ::testing::TestWithParam<layout::LayoutOptions> {
 protected:
  StepCompilerTest() : compiler_(config(), options()) {}

  static model::ModelConfig config() {
    return model::load_config(model::testing::golden_folder("glm4_moe")).value();
  }
  static ranks::WorkerOptions options() {
    ranks::WorkerOptions options;
    options.model = {.max_rows = {2, 4}, .num_blocks = 2, .max_blocks = 2};
    options.model.layout = layout::make_layout(model::layout_sizes(config()), GetParam()).value();
    return options;
  }
  RankSteps compile(int32_t decode, int32_t prefill) {
    const RowCounts rows{decode, prefill};
    return std::move(compiler_.compile({rows, rows})).value();
  }

  StepCompiler compiler_;
};

TEST_P(StepCompilerTest, EveryRankHasItsStepAndAllAgree) {
  const RankSteps steps = compile(2, 4);
  ASSERT_EQ(std::ssize(steps), GetParam().tp);
  const auto report = compiler_.check_joint(steps);
  ASSERT_TRUE(report.ok()) << report.status().to_string();
  // Attention and MLP of each of three layers and the embedding are reduced once, logits gathered.
  EXPECT_EQ(report->collectives, GetParam().tp > 1 ? 6 + 2 : 0);
}

TEST_P(StepCompilerTest, WorkersLaunchesAreOrdered) {
  const auto report = compiler_.check_launches(compile(2, 0), compile(0, 4));
  ASSERT_TRUE(report.ok()) << report.status().to_string();
  EXPECT_GT(report->ops, 0);
}

TEST_P(StepCompilerTest, AStepThatIsNoProgramOfItsOwnIsFound) {
  RankSteps broken = compile(0, 4);
  broken.back()->schedule.lanes[0].pop_back();  // an op on no lane
  EXPECT_FALSE(compiler_.check_launches(compile(2, 0), broken).ok());
}

TEST_P(StepCompilerTest, ARankWithAnotherStepIsFound) {
  if (GetParam().tp == 1) return;  // nobody to differ from
  RankSteps mixed = compile(2, 0);
  mixed.back() = std::move(compile(0, 4).back());
  const auto report = compiler_.check_joint(mixed);
  ASSERT_FALSE(report.ok());
  EXPECT_NE(report.error().to_string().find("different sequences of collectives"),
            std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Layouts, StepCompilerTest,
                         ::testing::Values(layout::LayoutOptions{}, layout::LayoutOptions{.tp = 2},
                                           layout::LayoutOptions{.tp = 4, .ep = 2}),
                         [](const auto& info) {
                           return fmt::format("tp{}ep{}", info.param.tp, info.param.ep);
                         });

TEST(VerificationTest, UnequalShapesHaveEveryGroupIdleOnce) {
  EXPECT_TRUE(unequal_shapes({4, 16}, 1).empty());
  const auto steps = unequal_shapes({4, 16}, 3);
  ASSERT_EQ(steps.size(), 3u);
  for (size_t group = 0; group < 3; ++group) {
    int idle = 0;
    for (const auto& of_groups : steps) {
      ASSERT_EQ(of_groups.size(), 3u);
      EXPECT_EQ(of_groups[group].group, (RowCounts{4, 16}));
      idle += of_groups[group].own == layers::kIdleRows ? 1 : 0;
    }
    EXPECT_EQ(idle, 1);
  }
}

TEST(VerificationTest, UnequalShapesOfManyGroupsDiffer) {
  for (const auto& of_groups : unequal_shapes({32, 256}, 8)) {
    std::vector<RowCounts> busy;
    for (const StepShape& shape : of_groups) {
      EXPECT_EQ(shape.group, (RowCounts{32, 256}));
      EXPECT_EQ(shape.own.decode, layers::bucket_of(shape.own.decode));
      EXPECT_LE(shape.own.prefill, 256);
      if (shape.own != layers::kIdleRows) busy.push_back(shape.own);
    }
    EXPECT_GE(busy.size(), 5u);
    std::sort(busy.begin(), busy.end());
    EXPECT_EQ(std::adjacent_find(busy.begin(), busy.end()), busy.end());
  }
}

// Eight ranks in groups that are idle, in prefill and decoding at once, each with other rows.
TEST(StepCompilerGroupsTest, EightRanksWithDifferentRowsAgree) {
  const auto config = model::load_config(model::testing::golden_folder("glm4_moe")).value();
  for (const auto& [dp, tp, ep] : {std::tuple{8, 1, 0}, {4, 2, 0}, {4, 2, 2}, {2, 4, 4}}) {
    ranks::WorkerOptions options;
    options.model = {.max_rows = {16, 64}, .num_blocks = 64, .max_blocks = 8};
    options.model.layout =
        layout::make_layout(model::layout_sizes(config), {.tp = tp, .ep = ep, .dp = dp}).value();
    options.passes.of<passes::DualStreamOptions>() = {.mode = passes::Switch::on};
    const StepCompiler compiler(config, options);
    for (const auto& of_groups : unequal_shapes(options.model.max_rows, dp)) {
      const auto steps = compiler.compile(of_groups);
      ASSERT_TRUE(steps.ok()) << steps.status().to_string();
      const auto joint = compiler.check_joint(*steps);
      ASSERT_TRUE(joint.ok()) << joint.status().to_string();
      // Along dp there and back in two MoE layers; along tp two sums in three layers, the
      // embedding's, and the logits.
      EXPECT_EQ(joint->collectives, 2 * 2 * tp + (tp > 1 ? (2 * 3 + 2) * dp : 0));
    }
  }
}

// Two collectives of one rank change places: it would wait for peers that wait for it.
TEST(StepCompilerGroupsTest, CollectivesSwappedOnOneRankAreFound) {
  const auto config = model::load_config(model::testing::golden_folder("glm4_moe")).value();
  ranks::WorkerOptions options;
  options.model = {.max_rows = {4, 16}, .num_blocks = 64, .max_blocks = 8};
  options.model.layout =
      layout::make_layout(model::layout_sizes(config), {.tp = 2, .dp = 4}).value();
  const StepCompiler compiler(config, options);
  const auto shapes = unequal_shapes(options.model.max_rows, 4).front();
  const RankSteps right = compiler.compile(shapes).value();
  const auto count = std::ssize(right[5]->schedule.lanes[flow::index_of(flow::Lane::comm)]);
  ASSERT_EQ(count, 2 * 2 + 2 * 3 + 2);
  for (int64_t first = 0; first + 1 < count; ++first) {
    const RankSteps steps = compiler.compile(shapes).value();
    auto& lane = steps[5]->schedule.lanes[flow::index_of(flow::Lane::comm)];
    std::swap(lane[static_cast<size_t>(first)], lane[static_cast<size_t>(first) + 1]);
    EXPECT_FALSE(compiler.check_joint(steps).ok()) << first;
  }
}

// 2 groups of 2 ranks, with the passes that move and split collectives.
TEST(StepCompilerGroupsTest, GroupsWithDifferentRowsAgree) {
  const auto config = model::load_config(model::testing::golden_folder("glm4_moe")).value();
  ranks::WorkerOptions options;
  options.model = {.max_rows = {2, 512}, .num_blocks = 64, .max_blocks = 64};
  options.model.layout =
      layout::make_layout(model::layout_sizes(config), {.tp = 2, .dp = 2}).value();
  options.passes.of<passes::DualStreamOptions>() = {.mode = passes::Switch::on};
  options.passes.of<passes::ChunkOptions>() = {.chunks = 2};
  const StepCompiler compiler(config, options);
  RankSteps last;
  for (const auto& of_groups : unequal_shapes(options.model.max_rows, 2)) {
    auto steps = compiler.compile(of_groups);
    ASSERT_TRUE(steps.ok()) << steps.status().to_string();
    const auto joint = compiler.check_joint(*steps);
    ASSERT_TRUE(joint.ok()) << joint.status().to_string();
    // Two along dp in each of two MoE layers, for each place in a group; two sums along tp in every
    // layer of both groups, of which chunks make more.
    EXPECT_GE(joint->collectives, 2 * 2 * 2 + 2 * 3 * 2);
    if (!last.empty()) {
      const auto launches = compiler.check_launches(last, *steps);
      EXPECT_TRUE(launches.ok()) << launches.status().to_string();
    }
    last = std::move(*steps);
  }
  // One group thinks that the largest has fewer rows.
  const RowCounts few{2, 0}, most{2, 512};
  const std::vector<StepShape> disagreed = {{few, few}, {few, most}};
  EXPECT_FALSE(compiler.check_joint(*compiler.compile(disagreed)).ok());
}

}  // namespace
}  // namespace braid::lab

#include "engine/verification.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "model/testing.h"
#include "ops/register_cpu.h"

namespace braid::engine {
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
  EXPECT_DOUBLE_EQ(compile_bound_us(5), 5000);
  EXPECT_DOUBLE_EQ(compile_bound_us(64), 5000);
  EXPECT_DOUBLE_EQ(compile_bound_us(96), 7500);
}

// Compiles steps of a golden model without an engine.
class LaunchTest : public ::testing::Test {
 protected:
  LaunchTest()
      : model_(model::load_config(model::testing::golden_folder("glm4_moe")).value(),
               {.max_rows = {2, 4}, .num_blocks = 2, .max_blocks = 2}),
        schedules_(model_, table_, {}) {
    ops::register_cpu(table_);
  }
  std::unique_ptr<CompiledStep> compile(int32_t decode, int32_t prefill) {
    const RowCounts rows{decode, prefill};
    return std::move(schedules_.compile({rows, rows})).value();
  }

  model::DecoderModel model_;
  flow::LauncherTable table_;
  Schedules schedules_;
};

TEST_F(LaunchTest, WorkersLaunchesAreOrdered) {
  const auto decode = compile(2, 0);
  const auto prefill = compile(0, 4);
  const auto report = verify_launches(*decode, *prefill);
  ASSERT_TRUE(report.ok()) << report.status().to_string();
  EXPECT_GT(report->ops, 0);
}

TEST_F(LaunchTest, AStepThatIsNoProgramOfItsOwnIsFound) {
  const auto decode = compile(2, 0);
  auto broken = compile(0, 4);
  broken->schedule.lanes[0].pop_back();  // an op on no lane
  EXPECT_FALSE(verify_launches(*decode, *broken).ok());
}

}  // namespace
}  // namespace braid::engine

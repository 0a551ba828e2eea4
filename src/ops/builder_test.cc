#include "ops/builder.h"

#include <gtest/gtest.h>

#include "ops/gemm.h"
#include "ops/moe.h"
#include "ops/norm.h"
#include "ops/rows.h"

namespace braid::ops {
namespace {

using flow::Lifetime;
using flow::Mesh;

// x [4, 8] and w [6, 8], with placements of their own, on meshes of 2 × 2 ranks.
class BuilderTest : public ::testing::Test {
 protected:
  BuilderTest()
      : b_(residents_, {.attention = {2, 2},
                        .moe = {2, 2},
                        .attention_sums = {-1, 1, 0},
                        .moe_sums = {-1, -1, 0}}) {}

  Value step(Placement placement, int64_t rows = 4, int64_t cols = 8) {
    return b_.step("x", Format::f32, rows, cols, placement);
  }
  Value weight(Placement placement, int64_t rows = 6, int64_t cols = 8) {
    const int32_t index =
        residents_.declare({.name = "w", .format = Format::f32, .rows = rows, .cols = cols});
    return b_.resident(index, placement);
  }
  static Placement tp(Shard shard) { return {.axes = {Shard::replicated, shard}}; }

  // The error of the finished Program; empty when there is none.
  std::string error() {
    const auto program = std::move(b_).finish();
    return program.ok() ? "" : program.error().to_string();
  }

  flow::Residents residents_;
  Builder b_;
};

TEST_F(BuilderTest, ProductsFollowThePlacementRules) {
  const Value whole = step(tp(Shard::replicated));
  const Value columns =
      gemm(b_, whole, {.weight = weight(tp(Shard::row_sharded))}, Format::f32, "h");
  EXPECT_EQ(b_.placement(columns), tp(Shard::col_sharded));
  const Value partial =
      gemm(b_, columns, {.weight = weight(tp(Shard::col_sharded), 5, 6)}, Format::f32, "y");
  EXPECT_EQ(b_.placement(partial), tp(Shard::partial));
  EXPECT_EQ(error(), "");
}

TEST_F(BuilderTest, AProductOfAPartialIsRefused) {
  gemm(b_, step(tp(Shard::partial)), {.weight = weight({})}, Format::f32, "y");
  EXPECT_NE(error().find("never a Partial"), std::string::npos);
}

TEST_F(BuilderTest, AProductOfSplitAndWholeInnerDimensionIsRefused) {
  gemm(b_, step(tp(Shard::col_sharded)), {.weight = weight({})}, Format::f32, "y");
  EXPECT_NE(error().find("equally split inner dimension"), std::string::npos);
}

TEST_F(BuilderTest, ABiasOnAPartialIsRefused) {
  gemm(b_, step(tp(Shard::col_sharded)),
       {.weight = weight(tp(Shard::col_sharded)), .bias = weight({}, 1, 6)}, Format::f32, "y");
  EXPECT_NE(error().find("a bias is added once"), std::string::npos);
}

TEST_F(BuilderTest, ANormOfAPartialIsRefused) {
  rms_norm(b_, step(tp(Shard::partial)), weight({}, 1, 8), 1e-6f, "n");
  const std::string text = error();
  EXPECT_NE(text.find("a norm takes whole, fully reduced rows"), std::string::npos);
  EXPECT_NE(text.find("attention(replicated, partial)"), std::string::npos) << text;
}

TEST_F(BuilderTest, ASumOfUnlikeTermsIsRefused) {
  add(b_, step(tp(Shard::partial)), step({}), "sum");
  EXPECT_NE(error().find("terms of one placement"), std::string::npos);
}

TEST_F(BuilderTest, AReplicatedTermInsideAPartialSumIsRefused) {
  sum_to(b_, {step(tp(Shard::partial)), step({})}, tp(Shard::partial), "sum");
  EXPECT_NE(error().find("a term can be reduced to the sum's placement"), std::string::npos);
}

TEST_F(BuilderTest, RoutingOfSplitScoresIsRefused) {
  route(b_, step(tp(Shard::col_sharded)), b_.step("slots", Format::i32, 4, 1),
        {.num_experts = 8, .top_k = 2});
  EXPECT_NE(error().find("whole, fully reduced scores"), std::string::npos);
}

TEST_F(BuilderTest, ShapesMustFit) {
  gemm(b_, step({}, 4, 7), {.weight = weight({})}, Format::f32, "y");
  EXPECT_NE(error().find("x [M, K] times W [N, K]"), std::string::npos);
}

TEST_F(BuilderTest, TheFirstErrorIsKept) {
  gemm(b_, step({}, 4, 7), {.weight = weight({})}, Format::f32, "y");
  rms_norm(b_, step(tp(Shard::partial)), weight({}, 1, 8), 1e-6f, "n");
  EXPECT_NE(error().find("x [M, K]"), std::string::npos);
}

TEST(BuilderSingleRankTest, AnAxisOfOneRankSplitsNothing) {
  flow::Residents residents;
  Builder b(residents);
  const Value x = b.step("x", Format::f32, 4, 8, {.axes = {Shard::row_sharded, Shard::partial}});
  EXPECT_EQ(b.placement(x), Placement{});
}

TEST(BuilderViewTest, RegionsFollowRowsNotColumns) {
  flow::Residents residents;
  Builder b(residents);
  const Value x = b.step("x", Format::bf16, 10, 8);
  const flow::ValueInfo& part = b.info(b.columns(b.rows(x, 3, 4), 2, 5));
  EXPECT_EQ(part.first_row, 3);
  EXPECT_EQ(part.region_rows, 4);
  EXPECT_EQ(part.offset, (3 * 8 + 2) * 2);
  EXPECT_EQ(part.stride, 16);
  EXPECT_EQ(part.cols, 5);
}

TEST(BuilderViewTest, WordsAreMatricesInAColumn) {
  flow::Residents residents;
  const int32_t block = residents.declare({.name = "words",
                                           .format = Format::i32,
                                           .rows = 100,
                                           .cols = 1,
                                           .lifetime = Lifetime::carried});
  Builder b(residents);
  const Value words = b.resident(block);
  const flow::ValueInfo& table = b.info(b.words(words, 10, Format::i32, 4, 5));
  EXPECT_EQ(table.first_row, 10);
  EXPECT_EQ(table.region_rows, 20);
  EXPECT_EQ(table.stride, 20);
  const flow::ValueInfo seeds = b.info(b.words(words, 40, Format::u64, 3, 1));
  EXPECT_EQ(seeds.region_rows, 6);
  EXPECT_EQ(seeds.offset, 160);
  const flow::ValueInfo second = b.info(b.rows(b.words(words, 40, Format::u64, 3, 1), 1, 2));
  EXPECT_EQ(second.first_row, 42);
  EXPECT_EQ(second.region_rows, 4);
  b.words(words, 99, Format::u64, 1, 1);
  EXPECT_FALSE(std::move(b).finish().ok());
}

TEST(BuilderScopeTest, OpsCarryLayerRoleAndHomeLane) {
  flow::Residents residents;
  Builder b(residents);
  b.set_layer(3);
  const Value x = b.step("x", Format::f32, 4, 8);
  const Value y = b.step("y", Format::f32, 4, 8);
  scope(b, Role::experts, [&] { copy(b, x, y); });
  read_back(b, y, b.step("z", Format::f32, 4, 8));
  const flow::Program program = std::move(b).finish().value();
  EXPECT_EQ(program.ops[0].scope, (flow::Scope{3, Role::experts}));
  EXPECT_EQ(program.ops[0].lane, flow::Lane::compute);
  EXPECT_EQ(program.ops[1].scope.role, Role::step);
  EXPECT_EQ(program.ops[1].lane, flow::Lane::copy);
}

}  // namespace
}  // namespace braid::ops

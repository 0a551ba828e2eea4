// Reductions: who sums a Partial, once, over which ranks, and the mistakes that are build errors.
#include "ops/collectives.h"

#include <gtest/gtest.h>

#include "ops/gemm.h"
#include "ops/moe.h"
#include "ops/norm.h"
#include "ops/rows.h"

namespace braid::ops {
namespace {

using flow::Mesh;

constexpr Placement kPartialTp = {.axes = {Shard::replicated, Shard::partial}};
constexpr Placement kPartialExperts = {.mesh = Mesh::moe, .axes = {Shard::partial, Shard::partial}};

// 4 ranks: attention (1, 4), experts (2, 2). Communicator 0 is all of them.
MeshSizes four_ranks() {
  return {
      .attention = {1, 4}, .moe = {2, 2}, .attention_sums = {-1, 0, 0}, .moe_sums = {-1, -1, 0}};
}

class CollectivesTest : public ::testing::Test {
 protected:
  explicit CollectivesTest(const MeshSizes& meshes = four_ranks()) : b_(residents_, meshes) {}

  Value step(Placement placement, std::string_view label = "x", int64_t rows = 6) {
    return b_.step(label, Format::f32, rows, 8, placement);
  }
  Value weight(int64_t rows, int64_t cols, Placement placement) {
    return b_.resident(
        residents_.declare({.name = "w", .format = Format::f32, .rows = rows, .cols = cols}),
        placement);
  }
  // Kinds of the finished Program's ops, in order; or the error.
  std::string ops() {
    const auto program = std::move(b_).finish();
    if (!program.ok()) return program.error().to_string();
    std::string text;
    for (const flow::Op& op : program->ops) text += std::string(op.kind().name) + " ";
    return text;
  }

  flow::Residents residents_;
  Builder b_;
};

TEST_F(CollectivesTest, APartialIsReducedOverItsRanksOnLaneComm) {
  const Value sum = all_reduce(b_, step(kPartialTp), "sum");
  EXPECT_EQ(b_.placement(sum), Placement{});
  const flow::Program program = std::move(b_).finish().value();
  ASSERT_EQ(program.ops.size(), 1u);
  EXPECT_EQ(program.ops[0].lane, flow::Lane::comm);
  const auto desc = program.ops[0].desc.as<AllReduceDesc>();
  EXPECT_EQ(desc.communicator, 0);
  EXPECT_EQ(desc.ranks, 4);
  EXPECT_EQ(desc.method, ReduceMethod::direct);
  EXPECT_TRUE(program.ops[0].kind().row_wise());
  EXPECT_TRUE(program.ops[0].kind().row_invariant);
}

TEST_F(CollectivesTest, ASecondReductionIsRefused) {
  const Value sum = all_reduce(b_, step(kPartialTp), "sum");
  all_reduce(b_, sum, "again");
  EXPECT_NE(ops().find("only a Partial is reduced, and that once"), std::string::npos);
}

TEST_F(CollectivesTest, AMissingReductionIsRefused) {
  const Value residual = step({}, "residual");
  add(b_, residual, step(kPartialTp), "sum");
  EXPECT_NE(ops().find("a sum takes terms of one placement"), std::string::npos);
}

TEST_F(CollectivesTest, ANormOfAPartialIsRefused) {
  rms_norm(b_, step(kPartialExperts), weight(1, 8, {}), 1e-6f, "n");
  EXPECT_NE(ops().find("a norm takes whole, fully reduced rows"), std::string::npos);
}

TEST_F(CollectivesTest, AReductionNeedsItsCommunicator) {
  all_reduce(b_, step({.mesh = Mesh::moe, .axes = {Shard::partial, Shard::replicated}}), "sum");
  EXPECT_NE(ops().find("a communicator sums over these axes"), std::string::npos);
}

TEST_F(CollectivesTest, ARowCountOnTheDeviceIsRefused) {
  const Value count = b_.step("count", Format::i32, 1, 1);
  all_reduce(b_, b_.step("x", Format::f32, 6, 8, kPartialTp, count), "sum");
  EXPECT_NE(ops().find("all ranks know how many rows"), std::string::npos);
}

TEST_F(CollectivesTest, TermsOverTheSameRanksAreAddedBeforeOneReduction) {
  const Value sum = sum_to(b_, {step(kPartialExperts), step(kPartialTp)}, {}, "sum");
  EXPECT_EQ(b_.placement(sum), Placement{});
  EXPECT_EQ(ops(), "add all_reduce ");
}

TEST_F(CollectivesTest, WholeTermsAreAddedAfterTheReduction) {
  const Value whole = step({.mesh = Mesh::moe}, "whole");  // renamed, not moved
  sum_to(b_, {step(kPartialTp), whole, step({}, "another")}, {}, "sum");
  EXPECT_EQ(ops(), "add all_reduce add ");
}

TEST_F(CollectivesTest, ASumThatStaysPartialIsNotReduced) {
  const Value sum = sum_to(b_, {step(kPartialTp), step(kPartialTp)}, kPartialTp, "sum");
  EXPECT_EQ(b_.placement(sum), kPartialTp);
  EXPECT_EQ(ops(), "add ");
}

// It would count as often as there are ranks.
TEST_F(CollectivesTest, AReplicatedTermInsideASumIsRefused) {
  sum_to(b_, {step(kPartialTp), step({})}, kPartialTp, "sum");
  EXPECT_NE(ops().find("can be reduced to the sum's placement"), std::string::npos);
}

TEST_F(CollectivesTest, AReplicatedTermAddedToAPartialIsRefused) {
  add(b_, step(kPartialExperts), step({}), "sum");
  EXPECT_NE(ops().find("a sum takes terms of one placement"), std::string::npos);
}

TEST_F(CollectivesTest, AProductOfAPartialIsRefused) {
  gemm(b_, step(kPartialTp), {.weight = weight(4, 8, {})}, Format::f32, "y");
  EXPECT_NE(ops().find("never a Partial"), std::string::npos);
}

TEST_F(CollectivesTest, ABiasOfAPartialIsRefused) {
  const Value x = step({.axes = {Shard::replicated, Shard::col_sharded}});
  gemm(b_, x,
       {.weight = weight(4, 8, {.axes = {Shard::replicated, Shard::col_sharded}}),
        .bias = weight(1, 4, {})},
       Format::f32, "y");
  EXPECT_NE(ops().find("a bias is added once"), std::string::npos);
}

TEST_F(CollectivesTest, RoutingOfAPartialIsRefused) {
  route(b_, step(kPartialTp), b_.step("slots", Format::i32, 6, 1), {.num_experts = 8, .top_k = 2});
  EXPECT_NE(ops().find("routing takes whole, fully reduced scores"), std::string::npos);
}

TEST_F(CollectivesTest, UnlikeTermsAreRefused) {
  sum_to(b_, {step({.axes = {Shard::replicated, Shard::col_sharded}})}, {}, "sum");
  EXPECT_NE(ops().find("can be reduced to the sum's placement"), std::string::npos);
}

TEST_F(CollectivesTest, APartOfAPartialIsNotLeftOver) {
  const Placement half = {.mesh = Mesh::moe, .axes = {Shard::partial, Shard::replicated}};
  sum_to(b_, {step(kPartialExperts)}, half, "sum");
  EXPECT_NE(ops().find("can be reduced to the sum's placement"), std::string::npos);
}

TEST_F(CollectivesTest, AWeightOfTheOtherMeshIsRefused) {
  const Value x = step({.mesh = Mesh::moe});
  gemm(b_, x, {.weight = weight(4, 8, {.axes = {Shard::replicated, Shard::row_sharded}})},
       Format::f32, "y");
  EXPECT_NE(ops().find("an op breaks a rule"), std::string::npos);
}

// A MoE layer of 8 experts, 4 here, each of its width split in two.
TEST_F(CollectivesTest, ExpertsSpreadOverRanksGiveAPartial) {
  const auto of_experts = [](Shard second) {
    return Placement{.mesh = Mesh::moe, .axes = {Shard::row_sharded, second}};
  };
  const Routing routing{b_.step("ids", Format::i32, 6, 5), b_.step("weights", Format::f32, 6, 5)};
  const Permuted permuted = permute(b_, dispatch(b_, step({}), routing), {.first = 4, .count = 4});
  EXPECT_EQ(b_.num_rows(permuted.grouped.source), 6 * 4);  // not 6 · 5: four experts are here
  const Grouped h =
      grouped_gemm(b_, permuted.grouped, weight(4 * 6, 8, of_experts(Shard::row_sharded)), 24, "h");
  EXPECT_EQ(b_.placement(h.rows), of_experts(Shard::col_sharded));
  const Grouped y = grouped_gemm(b_, h, weight(4 * 8, 6, of_experts(Shard::col_sharded)), 24, "y");
  EXPECT_EQ(b_.placement(y.rows), of_experts(Shard::partial));
  EXPECT_EQ(b_.placement(combine(b_, y, permuted)), kPartialExperts);
  EXPECT_EQ(ops(), "permute grouped_gemm grouped_gemm combine ");
}

TEST_F(CollectivesTest, WeightsOfAllSlotsForRowsOfSomeAreRefused) {
  const Routing routing{b_.step("ids", Format::i32, 6, 2), b_.step("weights", Format::f32, 6, 2)};
  const Permuted permuted = permute(b_, dispatch(b_, step({}), routing), {.count = 4});
  grouped_gemm(b_, permuted.grouped, weight(4 * 6, 8, {}), 12, "h");
  EXPECT_NE(ops().find("its slots' rows with its slots' weights"), std::string::npos);
}

TEST(CollectivesOneRankTest, ThereIsNothingToReduce) {
  flow::Residents residents;
  Builder b(residents);
  const Value x = b.step("x", Format::f32, 6, 8, kPartialTp);
  const Value y = b.step("y", Format::f32, 6, 8, kPartialExperts);
  sum_to(b, {x, y}, {}, "sum");
  const flow::Program program = std::move(b).finish().value();
  ASSERT_EQ(program.ops.size(), 1u);
  EXPECT_EQ(program.ops[0].kind().name, "add");
}

TEST(CollectivesOneRankTest, ExpertsElsewhereAreRefused) {
  flow::Residents residents;
  Builder b(residents);
  const Routing routing{b.step("ids", Format::i32, 6, 2), b.step("weights", Format::f32, 6, 2)};
  permute(b, dispatch(b, b.step("x", Format::f32, 6, 8), routing), {.first = 4, .count = 4});
  EXPECT_FALSE(std::move(b).finish().ok());
}

// What all ranks must agree on.
flow::Collective collective_of(const AllReduceDesc& desc, const flow::Type& type) {
  const std::array<flow::Type, 2> types = {type, type};
  return *flow::kind_of<AllReduceDesc>().collective(&desc, types);
}

TEST(AllReduceSignatureTest, CoversEverythingThatMustAgree) {
  const AllReduceDesc desc{.communicator = 1, .ranks = 2};
  const flow::Type type{Format::bf16, 128, 64, 256};
  const uint64_t signature = collective_of(desc, type).signature;
  EXPECT_EQ(collective_of(desc, type).signature, signature);
  EXPECT_EQ(collective_of(desc, type).communicator, 1);
  const auto differs = [&](const AllReduceDesc& other, const flow::Type& of) {
    return collective_of(other, of).signature != signature;
  };
  EXPECT_TRUE(differs({.communicator = 2, .ranks = 2}, type));
  EXPECT_TRUE(differs({.communicator = 1, .ranks = 4}, type));
  EXPECT_TRUE(differs({1, 2, ReduceMethod::copy_engine}, type));
  EXPECT_TRUE(differs(desc, {Format::f32, 128, 64, 256}));
  EXPECT_TRUE(differs(desc, {Format::bf16, 64, 128, 256}));
  EXPECT_TRUE(differs(desc, {Format::bf16, 128, 64, 128}));  // other rows
}

TEST(AllReduceSignatureTest, CountsWhatARingSends) {
  const AllReduceDesc desc{.ranks = 4};
  const flow::Type type{Format::bf16, 100, 10};
  const std::array<flow::Type, 2> types = {type, type};
  const flow::Work work = flow::kind_of<AllReduceDesc>().work(&desc, types);
  EXPECT_DOUBLE_EQ(work.link_bytes, 2 * 0.75 * 2000);
  EXPECT_DOUBLE_EQ(work.bytes, 4000);
}

}  // namespace
}  // namespace braid::ops

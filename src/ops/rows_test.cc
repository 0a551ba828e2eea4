// A vocabulary that ranks share: what is looked up in parts of a table, and columns that are
// gathered from the ranks.
#include "ops/rows.h"

#include <gtest/gtest.h>

#include "ops/collectives.h"
#include "ops/gemm.h"
#include "ops/norm.h"
#include "ops/sample.h"

namespace braid::ops {
namespace {

constexpr Placement kRows = {.axes = {Shard::replicated, Shard::row_sharded}};
constexpr Placement kColumns = {.axes = {Shard::replicated, Shard::col_sharded}};
constexpr Placement kOwnRows = {.axes = {Shard::row_sharded, Shard::replicated}};
constexpr Placement kPartialTp = {.axes = {Shard::replicated, Shard::partial}};
constexpr kernels::GatherRowsDesc kHere{.first = 16, .count = 11};

// 2 groups of 4 ranks with their own rows: communicator 0 along dp, 1 along tp.
constexpr MeshSizes kEightRanks = {
    .attention = {2, 4}, .moe = {8, 1}, .attention_sums = {0, 1, -1}, .moe_sums = {-1, -1, -1}};

class VocabularyTest : public ::testing::Test {
 protected:
  explicit VocabularyTest(const MeshSizes& meshes = kEightRanks) : b_(residents_, meshes) {}

  Value weight(int64_t rows, int64_t cols, Placement placement) {
    return b_.resident(
        residents_.declare({.name = "w", .format = Format::f32, .rows = rows, .cols = cols}),
        placement);
  }
  Value ids(Placement placement) { return b_.step("ids", Format::i32, 6, 1, placement); }
  Value logits(Placement placement, Value count = {}) {
    return b_.step("logits", Format::f32, 6, 16, placement, count);
  }
  SamplingRows sampling() {
    const Value words = b_.step("words", Format::i32, 6, 1);
    return {words, words, words, words, words, words};
  }
  std::string error() { return std::move(b_).finish().status().to_string(); }

  flow::Residents residents_;
  Builder b_;
};

TEST_F(VocabularyTest, WhatIsLookedUpInAPartOfTheTableIsSummedOnce) {
  const Value own = look_up(b_, weight(16, 8, kRows), ids(kOwnRows), kHere, "own");
  EXPECT_EQ(b_.placement(own), (Placement{.axes = {Shard::row_sharded, Shard::partial}}));
  const Value sum = sum_to(b_, {own}, kOwnRows, "sum");
  EXPECT_EQ(b_.placement(sum), kOwnRows);
  const flow::Program program = std::move(b_).finish().value();
  ASSERT_EQ(program.ops.size(), 2u);
  EXPECT_EQ(program.ops[0].desc.as<kernels::GatherRowsDesc>().first, 16);
  const auto reduce = program.ops[1].desc.as<AllReduceDesc>();
  EXPECT_EQ(reduce.communicator, 1);
  EXPECT_EQ(reduce.ranks, 4);
}

TEST_F(VocabularyTest, ANormOfWhatIsNotSummedYetIsRefused) {
  const Value own = look_up(b_, weight(16, 8, kRows), ids({}), kHere, "own");
  rms_norm(b_, own, weight(1, 8, {}), 1e-6f, "normed");
  EXPECT_NE(error().find("a norm takes whole, fully reduced rows"), std::string::npos);
}

TEST_F(VocabularyTest, IdsThatDifferAlongTheTablesAxisAreRefused) {
  look_up(b_, weight(16, 8, kRows), ids({.axes = {Shard::replicated, Shard::row_sharded}}), kHere,
          "own");
  EXPECT_NE(error().find("by all ranks that share the table alike"), std::string::npos);
}

TEST_F(VocabularyTest, AColumnOfATableIsNoRow) {
  look_up(b_, weight(16, 8, kColumns), ids({}), kHere, "own");
  EXPECT_NE(error().find("whole rows are looked up"), std::string::npos);
}

TEST_F(VocabularyTest, RowsThatTheRankDoesntHaveAreRefused) {
  look_up(b_, weight(16, 8, kRows), ids({}), {.first = 16, .count = 17}, "own");
  EXPECT_NE(error().find("a rank looks up rows that it has"), std::string::npos);
}

TEST_F(VocabularyTest, LogitsComeFromAllRanksOfAGroup) {
  const Value h = b_.step("h", Format::f32, 6, 8, kOwnRows);
  const Value own = gemm(b_, h, {.weight = weight(16, 8, kRows)}, Format::f32, "logits");
  EXPECT_EQ(b_.placement(own), (Placement{.axes = {Shard::row_sharded, Shard::col_sharded}}));
  const Value all = gather_columns(b_, own, 50, "all_logits");
  EXPECT_EQ(b_.placement(all), kOwnRows);
  EXPECT_EQ(b_.num_rows(all), 6);
  EXPECT_EQ(b_.num_cols(all), 50);
  sample(b_, all, sampling(), ids({}));
  const flow::Program program = std::move(b_).finish().value();
  ASSERT_EQ(program.ops.size(), 4u);
  EXPECT_EQ(program.ops[1].lane, flow::Lane::comm);
  const auto gather = program.ops[1].desc.as<AllGatherDesc>();
  EXPECT_EQ(gather.communicator, 1);
  EXPECT_EQ(gather.ranks, 4);
  EXPECT_EQ(program.info(program.ops[1].operands[AllGatherOperand::out]).rows, 4 * 6);
  EXPECT_EQ(program.ops[2].desc.as<kernels::JoinColumnsDesc>().parts, 4);
}

TEST_F(VocabularyTest, SamplingSomeOfTheLogitsIsRefused) {
  sample(b_, logits(kColumns), sampling(), ids({}));
  EXPECT_NE(error().find("sampling takes whole, fully reduced logits"), std::string::npos);
}

// The collective moves all rows, as its peers expect; behind it the count holds again.
TEST_F(VocabularyTest, ARowCountGoesAroundTheCollective) {
  const Value count = b_.step("count", Format::i32, 1, 1);
  const Value all = gather_columns(b_, logits(kColumns, count), 64, "all_logits");
  EXPECT_EQ(b_.info(all).count, count);
  const flow::Program program = std::move(b_).finish().value();
  EXPECT_FALSE(program.info(program.ops[0].operands[AllGatherOperand::in]).count.present());
  EXPECT_FALSE(program.info(program.ops[0].operands[AllGatherOperand::out]).count.present());
}

TEST_F(VocabularyTest, MoreColumnsThanThereAreAreRefused) {
  gather_columns(b_, logits(kColumns), 65, "all_logits");
  EXPECT_NE(error().find("every rank has its columns"), std::string::npos);
}

TEST_F(VocabularyTest, WhatIsWholeIsOnlyRenamed) {
  const Value whole = logits(kOwnRows);
  EXPECT_EQ(gather_columns(b_, whole, 16, "all_logits"), whole);
  EXPECT_TRUE(std::move(b_).finish()->ops.empty());
}

TEST_F(VocabularyTest, PadsOfAWholeAreRefused) {
  gather_columns(b_, logits({}), 15, "all_logits");
  EXPECT_NE(error().find("has no pads"), std::string::npos);
}

TEST_F(VocabularyTest, APartialIsNotGathered) {
  all_gather(b_, logits({.axes = {Shard::partial, Shard::col_sharded}}), 1, "all");
  EXPECT_NE(error().find("what is gathered is fully reduced"), std::string::npos);
}

TEST_F(VocabularyTest, CopiesAreNotGathered) {
  all_gather(b_, logits(kPartialTp), 1, "all");
  EXPECT_NE(error().find("only what is split over the ranks is gathered"), std::string::npos);
}

TEST_F(VocabularyTest, ARowCountOnTheDeviceIsRefused) {
  all_gather(b_, logits(kColumns, b_.step("count", Format::i32, 1, 1)), 1, "all");
  EXPECT_NE(error().find("all ranks know how many rows"), std::string::npos);
}

TEST(VocabularyMeshTest, AGatherNeedsItsCommunicator) {
  flow::Residents residents;
  Builder b(residents, {.attention = {2, 4}, .moe = {8, 1}});
  gather_columns(b, b.step("x", Format::f32, 6, 16, kColumns), 64, "all");
  EXPECT_NE(std::move(b).finish().status().to_string().find("a communicator joins the ranks"),
            std::string::npos);
}

TEST(VocabularyMeshTest, OneRankHasTheWholeTable) {
  flow::Residents residents;
  const int32_t table =
      residents.declare({.name = "w", .format = Format::f32, .rows = 11, .cols = 8});
  Builder b(residents);
  const Value x =
      look_up(b, b.resident(table, kRows), b.step("ids", Format::i32, 6, 1), {.count = 11}, "x");
  EXPECT_EQ(sum_to(b, {x}, {}, "sum"), x);
  EXPECT_EQ(std::move(b).finish()->ops.size(), 1u);
}

// What all ranks must agree on, and what they send.
flow::Collective collective_of(const AllGatherDesc& desc, const flow::Type& in) {
  const std::array<flow::Type, 2> types = {in, in};
  return *flow::kind_of<AllGatherDesc>().collective(&desc, types);
}

TEST(AllGatherSignatureTest, CoversEverythingThatMustAgree) {
  const AllGatherDesc desc{.communicator = 1, .ranks = 2};
  const flow::Type type{Format::f32, 6, 64, 0};
  const uint64_t signature = collective_of(desc, type).signature;
  EXPECT_EQ(collective_of(desc, type).signature, signature);
  EXPECT_EQ(collective_of(desc, type).communicator, 1);
  for (const AllGatherDesc& other : {AllGatherDesc{2, 2}, AllGatherDesc{1, 4}}) {
    EXPECT_NE(collective_of(other, type).signature, signature);
  }
  for (const flow::Type& other :
       {flow::Type{Format::bf16, 6, 64, 0}, flow::Type{Format::f32, 7, 64, 0},
        flow::Type{Format::f32, 6, 80, 0}, flow::Type{Format::f32, 6, 64, 6}}) {
    EXPECT_NE(collective_of(desc, other).signature, signature);
  }
}

TEST(AllGatherSignatureTest, CountsWhatARingSends) {
  const AllGatherDesc desc{.ranks = 4};
  const std::array<flow::Type, 2> types = {flow::Type{Format::f32, 6, 16},
                                           flow::Type{Format::f32, 24, 16}};
  const flow::Work work = flow::kind_of<AllGatherDesc>().work(&desc, types);
  EXPECT_DOUBLE_EQ(work.link_bytes, 3 * 6 * 16 * 4);
  EXPECT_DOUBLE_EQ(work.bytes, 5 * 6 * 16 * 4);
}

}  // namespace
}  // namespace braid::ops

#include "passes/chunk_collectives.h"

#include <gtest/gtest.h>

#include "flow/check/check.h"
#include "flow/compile.h"
#include "ops/collectives.h"
#include "ops/gemm.h"
#include "ops/norm.h"
#include "ops/rows.h"
#include "passes/chunk_prices.h"

namespace braid::passes {
namespace {

using flow::RowRange;
using ops::Placement;
using ops::Shard;
using ops::Value;

constexpr Placement kPartial = {.axes = {Shard::replicated, Shard::partial}};
constexpr Placement kColumns = {.axes = {Shard::replicated, Shard::col_sharded}};

TEST(ChunkRangesTest, EndAtTilesAndCoverAllRows) {
  EXPECT_EQ(chunk_ranges(1024, 2), (std::vector<RowRange>{{0, 512}, {512, 1024}}));
  EXPECT_EQ(chunk_ranges(300, 2), (std::vector<RowRange>{{0, 256}, {256, 300}}));
  EXPECT_EQ(chunk_ranges(300, 4), (std::vector<RowRange>{{0, 128}, {128, 256}, {256, 300}}));
  EXPECT_EQ(chunk_ranges(255, 4), (std::vector<RowRange>{{0, 255}}));
  for (int64_t rows = 1; rows < 3000; rows += 7) {
    for (const int32_t chunks : {1, 2, 3, 8}) {
      const auto ranges = chunk_ranges(rows, chunks);
      EXPECT_LE(std::ssize(ranges), chunks);
      int64_t next = 0;
      for (const RowRange& range : ranges) {
        EXPECT_EQ(range.first, next);
        EXPECT_EQ(range.first % kChunkTile, 0);
        EXPECT_LT(range.first, range.last);
        next = range.last;
      }
      EXPECT_EQ(next, rows);
    }
  }
}

TEST(ParseChunksTest, OffOrANumber) {
  EXPECT_EQ(parse_chunks("o", "off")->chunks, 1);
  EXPECT_EQ(parse_chunks("o", "8")->chunks, 8);
  EXPECT_EQ(parse_chunks("o", "auto")->chunks, ChunkOptions::kAutomatic);
  for (const char* bad : {"", "Auto", "1", "0", "-2", "65", "2x", "99999999999"}) {
    EXPECT_FALSE(parse_chunks("--overlap-chunks", bad).ok()) << bad;
  }
}

// Programs of one rank of two.
class ChunkTest : public ::testing::Test {
 protected:
  ChunkTest()
      : b_(residents_, {.attention = {1, 2}, .moe = {1, 2}, .attention_sums = {-1, 0, -1}}) {}

  Value input(int64_t rows, const Placement& placement = kColumns) {
    return b_.resident(residents_.declare({.name = "x",
                                           .format = Format::f32,
                                           .rows = rows,
                                           .cols = 8,
                                           .lifetime = flow::Lifetime::carried}),
                       placement);
  }
  Value row_parallel(Value x) {
    const Value w = b_.resident(
        residents_.declare({.name = "w", .format = Format::f32, .rows = 8, .cols = 8}), kColumns);
    return ops::gemm(b_, x, {.weight = w}, Format::f32, "y");
  }
  // Lanes and kinds of the chunked Program: "gemm comm:all_reduce gemm …".
  std::string chunked(int32_t chunks) {
    const PassOptions options;
    const PassContext context{.options = options, .residents = residents_, .decisions = why_};
    const auto result =
        chunk_collectives(std::move(b_).finish().value(), {.chunks = chunks}, context);
    EXPECT_TRUE(result.ok()) << result.status().to_string();
    schedule_ = flow::compile(result.value()).value();
    EXPECT_TRUE(flow::check_schedule(schedule_).ok());
    std::string text;
    for (const flow::Op& op : schedule_.program.ops) {
      text += fmt::format("{} ", op.desc.is<ops::AllReduceDesc>() ? "reduce" : op.kind().name);
    }
    return text;
  }

  flow::Residents residents_;
  ops::Builder b_;
  Decisions why_;
  flow::Schedule schedule_;
};

TEST_F(ChunkTest, AGemmAndItsReductionAreIssuedInTurn) {
  const Value sum = ops::sum_to(b_, {row_parallel(input(300))}, {}, "sum");
  ops::add(b_, sum, sum, "end");
  EXPECT_EQ(chunked(4), "gemm reduce gemm reduce gemm reduce add ");
  EXPECT_EQ(why_.back().choice, "3 chunks");
  EXPECT_EQ(why_.back().rewrites, 2);
  EXPECT_EQ(schedule_.wait_count(), 3 + 1);  // each reduction for its rows, the end for the last
  // The tail has the rows that are left, and the configuration of the whole.
  const flow::Op& tail = schedule_.program.ops[4];
  EXPECT_EQ(schedule_.program.type_of(tail.operands[ops::GemmOperand::y]).rows, 300 - 256);
  EXPECT_EQ(tail.desc.as<kernels::GemmDesc>().tuned_rows, 300);
}

TEST_F(ChunkTest, BothTermsOfASumAreCutWithIt) {
  const Value a = row_parallel(input(256));
  const Value other = row_parallel(input(256));
  ops::sum_to(b_, {a, other}, {}, "sum");
  EXPECT_EQ(chunked(2), "gemm gemm add reduce gemm gemm add reduce ");
  EXPECT_EQ(why_.back().rewrites, 4);
}

TEST_F(ChunkTest, ATermThatIsThereAlreadyStaysWhole) {
  const Value given = input(256, kPartial);
  ops::sum_to(b_, {row_parallel(input(256)), given}, {}, "sum");
  EXPECT_EQ(chunked(2), "gemm add reduce gemm add reduce ");
}

TEST_F(ChunkTest, WhatSomebodyElseReadsStaysWhole) {
  const Value partial = row_parallel(input(256));
  ops::sum_to(b_, {partial}, {}, "sum");
  ops::copy(b_, partial, input(256, kPartial));
  EXPECT_EQ(chunked(2), "gemm reduce copy ");
  EXPECT_EQ(why_.back().reason, "no reduction whose input can be cut");
}

TEST_F(ChunkTest, AReductionOfGivenRowsStaysWhole) {
  ops::sum_to(b_, {input(256, kPartial)}, {}, "sum");
  EXPECT_EQ(chunked(2), "reduce ");
}

TEST_F(ChunkTest, OneChunkOrFewRowsChangeNothing) {
  ops::sum_to(b_, {row_parallel(input(255))}, {}, "sum");
  EXPECT_EQ(chunked(8), "gemm reduce ");
  EXPECT_NE(why_.back().reason.find("255 rows: fewer than two chunks of 128"), std::string::npos);
}

TEST_F(ChunkTest, OffChangesNothing) {
  ops::sum_to(b_, {row_parallel(input(512))}, {}, "sum");
  EXPECT_EQ(chunked(1), "gemm reduce ");
  EXPECT_EQ(why_.back().choice, "off");
}

TEST_F(ChunkTest, ASumThatStaysPartialChangesNothing) {
  const Value y = row_parallel(input(512));
  ops::copy(b_, y, input(512, kPartial));
  EXPECT_EQ(chunked(4), "gemm copy ");
  EXPECT_EQ(why_.back().reason, "no reduction in the step");
}

TEST(ChunkOneRankTest, WithoutACollectiveNothingChanges) {
  flow::Residents residents;
  ops::Builder b(residents);
  const Value x = b.step("x", Format::f32, 512, 8, kPartial);
  ops::sum_to(b, {ops::add(b, x, x, "y")}, {}, "sum");
  Decisions why;
  const PassOptions options;
  const PassContext context{.options = options, .residents = residents, .decisions = why};
  const flow::Program program =
      chunk_collectives(std::move(b).finish().value(), {.chunks = 4}, context).value();
  EXPECT_EQ(program.ops.size(), 1u);
  EXPECT_EQ(why.back().rewrites, 0);
}

}  // namespace
}  // namespace braid::passes

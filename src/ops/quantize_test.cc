// Quantized rows: shapes, placements, and which of their ops can be split by rows.
#include "ops/quantize.h"

#include <gtest/gtest.h>

#include "flow/rewrite.h"
#include "ops/rank_rows.h"

namespace braid::ops {
namespace {

using flow::Mesh;

class QuantizeOpsTest : public ::testing::Test {
 protected:
  QuantizeOpsTest()
      : b_(residents_, {.attention = {2, 1}, .moe = {2, 1}, .attention_sums = {0, -1, -1}}) {}

  Value step(int64_t rows, int64_t cols, Placement placement = {}, Format format = Format::bf16) {
    return b_.step("x", format, rows, cols, placement);
  }
  void expect_refused(std::string_view rule) {
    const auto program = std::move(b_).finish();
    ASSERT_FALSE(program.ok());
    EXPECT_NE(program.error().to_string().find(rule), std::string::npos)
        << program.error().to_string();
  }

  flow::Residents residents_;
  Builder b_;
};

constexpr Placement kOwn = {.axes = {Shard::row_sharded, Shard::replicated}};

TEST_F(QuantizeOpsTest, ShapesAreThoseOfThePayload) {
  const Value x = step(5, 7168, kOwn);
  const QuantizedRows fp8 = quantize_rows(b_, x, Payload::fp8);
  EXPECT_EQ(b_.describe(fp8.payload), "payload [5, 7168] u8");
  EXPECT_EQ(b_.describe(fp8.scales), "scales [5, 56] f32");
  EXPECT_EQ(b_.describe(fp8.errors), "row_errors [5, 2] f64");
  EXPECT_EQ(b_.placement(fp8.payload), kOwn);
  const QuantizedRows nvfp4 = quantize_rows(b_, x, Payload::nvfp4);
  EXPECT_EQ(b_.describe(nvfp4.payload), "payload [5, 3584] u8");
  EXPECT_EQ(b_.describe(nvfp4.scales), "scales [5, 450] u8");
  const QuantizedRows odd = quantize_rows(b_, step(1, 33), Payload::nvfp4);
  EXPECT_EQ(b_.num_cols(odd.payload), 17);
  EXPECT_EQ(b_.num_cols(odd.scales), 3 + braid::kernels::kRowScaleBytes);
}

TEST_F(QuantizeOpsTest, BothWaysAreSplitByRowsTheSumIsNot) {
  const Value x = step(6, 32);
  const QuantizedRows rows = quantize_rows(b_, x, Payload::nvfp4);
  dequantize_rows(b_, rows.payload, rows.scales, Payload::nvfp4, step(6, 32));
  sum_errors(b_, rows.errors, b_.step("ids", Format::i32, 6, 2),
             b_.step("sums", Format::f64, 1, 2));
  const flow::Program program = std::move(b_).finish().value();
  EXPECT_EQ(flow::splittable_rows(program, program.ops[0]), 6);
  EXPECT_EQ(flow::splittable_rows(program, program.ops[1]), 6);
  EXPECT_EQ(flow::splittable_rows(program, program.ops[2]), std::nullopt);
}

TEST_F(QuantizeOpsTest, APartialIsNotQuantized) {
  quantize_rows(b_, step(4, 32, {.axes = {Shard::partial, Shard::replicated}}), Payload::fp8);
  expect_refused("whole, fully reduced rows are quantized");
}

TEST_F(QuantizeOpsTest, ScalesOfAnotherPayloadAreRefused) {
  const QuantizedRows rows = quantize_rows(b_, step(4, 256), Payload::fp8);
  dequantize_rows(b_, rows.payload, rows.scales, Payload::nvfp4, step(4, 256));
  expect_refused("payload and scales are those of the rows");
}

TEST_F(QuantizeOpsTest, RowsOfOtherRanksDontComeWithoutACollective) {
  const QuantizedRows rows = quantize_rows(b_, step(4, 256, kOwn), Payload::fp8);
  dequantize_rows(b_, rows.payload, rows.scales, Payload::fp8, step(4, 256, {.mesh = Mesh::moe}));
  expect_refused("quantized rows stay where they are");
}

TEST_F(QuantizeOpsTest, ErrorsOfOtherRowsAreRefused) {
  const QuantizedRows rows = quantize_rows(b_, step(4, 256), Payload::fp8);
  sum_errors(b_, rows.errors, b_.step("ids", Format::i32, 5, 2),
             b_.step("sums", Format::f64, 1, 2));
  expect_refused("an error and the ids of every row");
}

TEST_F(QuantizeOpsTest, QuantizedRowsAreGatheredInOneCallWithTheirScales) {
  const RankRows ranks{.counts = b_.step("counts", Format::i32, 2, 1), .own = 4, .group = 10};
  const QuantizedRows own = quantize_rows(b_, step(4, 256, kOwn), Payload::fp8);
  const GatheredRows all = all_gather_v(b_,
                                        {own.payload, b_.step("ids", Format::i32, 4, 2, kOwn),
                                         b_.step("weights", Format::f32, 4, 2, kOwn), own.scales},
                                        ranks);
  EXPECT_EQ(b_.describe(all.rows), "all_rows [20, 256] u8");
  EXPECT_EQ(b_.describe(all.scales), "all_scales [20, 2] f32");
  EXPECT_EQ(std::move(b_).finish()->ops.size(), 2u);
}

}  // namespace
}  // namespace braid::ops

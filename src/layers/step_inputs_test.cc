#include "layers/step_inputs.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "ops/rows.h"

namespace braid::layers {
namespace {

TEST(StepShapeTest, BucketsWasteAtMostAThird) {
  EXPECT_EQ(bucket_of(0), 0);
  EXPECT_EQ(bucket_of(1), 1);
  EXPECT_EQ(bucket_of(5), 6);
  EXPECT_EQ(bucket_of(7), 8);
  EXPECT_EQ(bucket_of(100), 128);
  for (int32_t rows = 1; rows < 5000; ++rows) {
    const int32_t bucket = bucket_of(rows);
    ASSERT_GE(bucket, rows);
    ASSERT_LE(3 * (bucket - rows), bucket) << rows;
    ASSERT_EQ(bucket_of(bucket), bucket);
  }
}

TEST(StepShapeTest, SaysWhatItIs) {
  EXPECT_EQ((StepShape{{4, 16}, {4, 16}}).to_string(), "decode 4, prefill 16");
  EXPECT_EQ((StepShape{{4, 0}, {4, 16}}).to_string(), "decode 4, prefill 0 (most: 4, 16)");
}

TEST(InputLayoutTest, FieldsFollowOneAnotherWithoutOverlap) {
  const InputLayout layout({.decode = 3, .prefill = 8}, {.max_blocks = 5});
  EXPECT_EQ(layout.num_rows, 11);
  EXPECT_EQ(layout.num_sequences, 3 + 8);
  EXPECT_EQ(layout.num_logits, 11);
  EXPECT_EQ(layout.seeds % 2, 0);
  EXPECT_EQ(layout.block_table + 11 * 5, layout.total);
  const std::vector<int64_t> firsts = {layout.seeds,       layout.ids,         layout.positions,
                                       layout.sequences,   layout.kv_slots,    layout.logit_rows,
                                       layout.temperature, layout.top_p,       layout.top_k,
                                       layout.chosen,      layout.logit_count, layout.block_table};
  EXPECT_TRUE(std::is_sorted(firsts.begin(), firsts.end()));
}

TEST(InputLayoutTest, SequencesInPrefillAreBounded) {
  EXPECT_EQ(InputLayout({0, 512}, {.max_blocks = 1}).num_logits, 8);
  EXPECT_EQ(InputLayout({0, 512}, {.max_blocks = 1, .all_logits = true}).num_logits, 512);
}

TEST(InputLayoutTest, RowsOfAllRanksAreInputsWhereTheyDiffer) {
  const RowCounts rows{.decode = 2, .prefill = 3};
  const InputLayout alone(rows, {.max_blocks = 4});
  const InputLayout one_of_three(rows, {.max_blocks = 4, .dp = 3});
  EXPECT_EQ(alone.block_table, alone.rank_rows);
  EXPECT_EQ(one_of_three.block_table, one_of_three.rank_rows + 3);
  EXPECT_EQ(one_of_three.total, alone.total + 3);

  flow::Residents residents;
  const int32_t words = residents.declare({.name = "words",
                                           .format = Format::i32,
                                           .rows = 1000,
                                           .cols = 1,
                                           .lifetime = flow::Lifetime::carried});
  ops::Builder b(residents, {.attention = {3, 1}, .moe = {3, 1}});
  const flow::Placement own{.axes = {flow::Shard::row_sharded, flow::Shard::replicated}};
  const StepRows fields = step_inputs(b, b.resident(words), b.resident(words, own), one_of_three,
                                      {.max_blocks = 4, .dp = 3});
  EXPECT_EQ(b.num_rows(fields.ranks.counts), 3);
  EXPECT_EQ(b.info(fields.ranks.counts).first_row, one_of_three.rank_rows);
  EXPECT_EQ(b.placement(fields.ranks.counts), flow::Placement{});  // all ranks know them
  EXPECT_EQ(b.placement(fields.ids), own);
  EXPECT_EQ(fields.ranks.own, 5);
}

TEST(InputLayoutTest, OneOpBringsAllInputs) {
  flow::Residents residents;
  const StepLimits limits{.max_blocks = 4};
  const InputLayout layout({.decode = 2, .prefill = 3}, limits);
  const auto declare = [&](int32_t copies) {
    return residents.declare({.name = "words",
                              .format = Format::i32,
                              .rows = 1000,
                              .cols = 1,
                              .lifetime = flow::Lifetime::carried,
                              .copies = copies});
  };
  const int32_t host = declare(2);
  const int32_t device = declare(1);
  ops::Builder b(residents);
  const StepRows rows = step_inputs(b, b.resident(host), b.resident(device), layout, limits);
  EXPECT_EQ(b.num_rows(rows.ids), 5);
  EXPECT_EQ(b.num_cols(rows.paged.block_table), 4);
  EXPECT_EQ(b.format(rows.sampling.seed), Format::u64);
  EXPECT_EQ(b.info(rows.sampling.position).first_row, layout.chosen);
  const flow::Program program = std::move(b).finish().value();
  ASSERT_EQ(program.ops.size(), 1u);
  EXPECT_EQ(program.type_of(program.ops[0].operands[ops::CopyOperand::out]).rows, layout.total);
}

}  // namespace
}  // namespace braid::layers

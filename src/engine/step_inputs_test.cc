#include "engine/step_inputs.h"

#include <gtest/gtest.h>

#include <bit>

namespace braid::engine {
namespace {

using layers::InputLayout;

Sequence make_sequence(RequestId id, int32_t tokens, std::vector<int32_t> blocks) {
  Sequence sequence;
  sequence.id = id;
  for (int32_t i = 0; i < tokens; ++i) {
    sequence.tokens.push_back(static_cast<int32_t>(100 * id) + i);
  }
  sequence.request.prompt = {sequence.tokens.front()};
  sequence.request.sampling = {.temperature = 0.5f, .top_p = 0.9f, .top_k = 3, .seed = 1u << 20};
  sequence.blocks = std::move(blocks);
  return sequence;
}

class StepWordsTest : public ::testing::Test {
 protected:
  StepWordsTest() : first_(make_sequence(1, 6, {7, 2})), second_(make_sequence(2, 9, {5, 0, 3})) {
    plan_.decode = {{&first_, 5, 1}};
    plan_.prefill = {{&second_, 3, 4}};  // its last token is not among them
  }

  std::vector<LogitRow> fill(bool all_logits) {
    limits_.all_logits = all_logits;
    const InputLayout layout(rows_, limits_);
    words_.assign(static_cast<size_t>(layout.total), 12345);
    return fill_words(plan_, {rows_, rows_}, limits_, 4, words_);
  }

  std::vector<int32_t> field(int64_t first, int64_t count) const {
    return {words_.begin() + first, words_.begin() + first + count};
  }

  Sequence first_, second_;
  Plan plan_;
  layers::RowCounts rows_{.decode = 2, .prefill = 6};
  layers::StepLimits limits_{.max_blocks = 3, .max_prefill_sequences = 2};
  std::vector<int32_t> words_;
};

TEST_F(StepWordsTest, RowsStandInTheirBucketsAndTheRestIsPadding) {
  fill(false);
  const InputLayout layout(rows_, limits_);
  EXPECT_EQ(field(layout.ids, 8), (std::vector<int32_t>{105, 0, 203, 204, 205, 206, 0, 0}));
  EXPECT_EQ(field(layout.positions, 8), (std::vector<int32_t>{5, 0, 3, 4, 5, 6, 0, 0}));
  EXPECT_EQ(field(layout.sequences, 8), (std::vector<int32_t>{0, -1, 1, 1, 1, 1, -1, -1}));
  // Position p lies in block p / 4, at p mod 4.
  EXPECT_EQ(field(layout.kv_slots, 8), (std::vector<int32_t>{9, -1, 23, 0, 1, 2, -1, -1}));
  EXPECT_EQ(field(layout.block_table, 6), (std::vector<int32_t>{7, 2, 0, 5, 0, 3}));
}

TEST_F(StepWordsTest, OnlyRowsThatSampleGetLogits) {
  const std::vector<LogitRow> rows = fill(false);
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].sequence, &first_);
  EXPECT_TRUE(rows[0].samples);
  const InputLayout layout(rows_, limits_);
  EXPECT_EQ(field(layout.logit_count, 1), std::vector<int32_t>{1});
  EXPECT_EQ(field(layout.logit_rows, 2), (std::vector<int32_t>{0, -1}));
  EXPECT_EQ(field(layout.chosen, 1), std::vector<int32_t>{6});
  EXPECT_EQ(field(layout.top_k, 1), std::vector<int32_t>{3});
  EXPECT_EQ(std::bit_cast<float>(field(layout.temperature, 1)[0]), 0.5f);
  EXPECT_EQ(std::bit_cast<float>(field(layout.top_p, 1)[0]), 0.9f);
  EXPECT_EQ(field(layout.seeds, 2), (std::vector<int32_t>{1 << 20, 0}));
}

TEST_F(StepWordsTest, AllRowsGetLogitsWhenAsked) {
  const std::vector<LogitRow> rows = fill(true);
  ASSERT_EQ(rows.size(), 5u);
  EXPECT_TRUE(rows[0].samples);
  EXPECT_FALSE(rows[4].samples);
  EXPECT_EQ(rows[4].position, 6);
  const InputLayout layout(rows_, limits_);
  EXPECT_EQ(field(layout.logit_rows, 6), (std::vector<int32_t>{0, 2, 3, 4, 5, -1}));
}

TEST_F(StepWordsTest, RowsOfAllGroupsAreAmongThem) {
  limits_.dp = 3;
  const InputLayout layout(rows_, limits_);
  words_.assign(static_cast<size_t>(layout.total), 12345);
  const std::vector<int32_t> rank_rows = {6, 0, 9};
  fill_words(plan_, {rows_, rows_}, limits_, 4, words_, rank_rows);
  EXPECT_EQ(field(layout.rank_rows, 3), rank_rows);
  EXPECT_EQ(std::count(words_.begin(), words_.end(), 12345), 0);
}

TEST_F(StepWordsTest, RowsAreCountedUpToTheLastRealOne) {
  EXPECT_EQ(rows_to_last(plan_, rows_), 2 + 4);  // with a row of padding behind the decode row
  plan_.prefill.clear();
  EXPECT_EQ(rows_to_last(plan_, rows_), 1);
  EXPECT_EQ(rows_to_last({}, {}), 0);
}

TEST_F(StepWordsTest, EveryWordIsWritten) {
  fill(false);
  EXPECT_EQ(std::count(words_.begin(), words_.end(), 12345), 0);
}

}  // namespace
}  // namespace braid::engine

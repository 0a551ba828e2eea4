#include "kernels/sample/cpu/adjust_logits.h"

#include "kernels/cpu/test_support.h"
#include "kernels/sample/adjust_test_util.h"

namespace braid::kernels::cpu {
namespace {

using testing::AdjustCase;

std::vector<float> adjusted(const AdjustCase& batch, int64_t row) {
  std::vector<std::byte> scratch(static_cast<size_t>(adjust_scratch_bytes(batch.vocab_size())));
  std::vector<float> out(static_cast<size_t>(batch.vocab_size()), 1e9f);
  AdjustArgs args = batch.row(row);
  args.out = {out.data(), batch.vocab_size()};
  adjust_logits(batch.desc(), 1, args, scratch.data());
  return out;
}

TEST(AdjustLogitsTest, RowsWithoutWishesAreCopied) {
  AdjustCase batch(32, 8);
  batch.add({.prompt = {1, 2, 3}, .answer = {4, 4}});
  EXPECT_EQ(adjusted(batch, 0), batch.logits(0));
}

// The formulas by hand.
TEST(AdjustLogitsTest, PenaltiesCountPromptAndAnswerApart) {
  AdjustCase batch(8, 4);
  batch.add({.prompt = {1, 1, 2},
             .answer = {2, 3, 3, 3},
             .repetition = 2,
             .presence = 0.5f,
             .frequency = 0.25f,
             .logits = {1, 1, 1, -1, 4, 0, 1, 1}});
  EXPECT_EQ(adjusted(batch, 0),
            (std::vector<float>{1, 0.5f, 0.5f - 0.25f - 0.5f, -2 - 0.75f - 0.5f, 4, 0, 1, 1}));
}

TEST(AdjustLogitsTest, ABiasComesBeforeThePenalties) {
  AdjustCase batch(4, 4);
  batch.add({.prompt = {1, 2},
             .answer = {},
             .repetition = 2,
             .biases = {{1, 3.0f}, {2, -3.0f}, {3, 0.5f}},
             .logits = {1, 1, 1, 1}});
  EXPECT_EQ(adjusted(batch, 0), (std::vector<float>{1, 2, -4, 1.5f}));
}

TEST(AdjustLogitsTest, IdsOutsideOfTheVocabularyArePassedOver) {
  AdjustCase batch(4, 4);
  batch.add({.prompt = {-1, 4, 1000}, .answer = {-1, 0}, .presence = 1, .logits = {1, 1, 1, 1}});
  EXPECT_EQ(adjusted(batch, 0), (std::vector<float>{0, 1, 1, 1}));
}

TEST(AdjustLogitsTest, ARowDependsOnItselfAlone) {
  AdjustCase batch(700, 16);
  batch.add_random(/*rows=*/9, /*seed=*/3);
  std::vector<std::byte> scratch(static_cast<size_t>(adjust_scratch_bytes(batch.vocab_size())));
  Grid<float> all(9, 700, 3);
  AdjustArgs args = batch.row(0);
  args.out = all.matrix();
  adjust_logits(batch.desc(), 9, args, scratch.data());
  for (int64_t row = 0; row < 9; ++row) {
    const std::vector<float> alone = adjusted(batch, row);
    for (int64_t i = 0; i < 700; ++i) EXPECT_EQ(all.at(row, i), alone[static_cast<size_t>(i)]);
  }
}

}  // namespace
}  // namespace braid::kernels::cpu

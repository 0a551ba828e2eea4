// Rows of a layer that runs alone: which step they make on each group of ranks.
#include "lab/layer_rank.h"

#include <gtest/gtest.h>

namespace braid::lab {
namespace {

using layers::RowCounts;

TEST(LayerRowsTest, OneGroupHasTheStepForItself) {
  const LayerRows prefill{.rows = 5};
  EXPECT_EQ(prefill.shape().own, (RowCounts{.decode = 0, .prefill = 6}));
  EXPECT_EQ(prefill.shape().group, prefill.shape().own);
  EXPECT_EQ(prefill.to_string(), "5");
  const LayerRows decode{.rows = 3, .context = 100};
  EXPECT_EQ(decode.shape().own, (RowCounts{.decode = 3, .prefill = 0}));
  EXPECT_EQ(decode.sequences(), 3);
  EXPECT_EQ(decode.tokens_of_a_sequence(), 101);
}

TEST(LayerRowsTest, GroupsKnowTheirOwnRowsAndTheMostOfAny) {
  const LayerRows rows{.rows = 300, .groups = {300, 150}};
  EXPECT_EQ(rows.to_string(), "300 + 150");
  EXPECT_EQ(rows.of(1).rows, 150);
  EXPECT_TRUE(rows.of(1).groups.empty());
  EXPECT_EQ(rows.shape(0).own, LayerRows{.rows = 300}.shape().own);
  EXPECT_EQ(rows.shape(1).own, LayerRows{.rows = 150}.shape().own);
  EXPECT_EQ(rows.shape(1).group, rows.shape(0).own);
  EXPECT_EQ(rows.shape(0).group, rows.shape(1).group);
}

// An idle group runs a row of padding, which the others' collectives must have room for.
TEST(LayerRowsTest, AnIdleGroupTakesPart) {
  const LayerRows rows{.rows = 8, .groups = {8, 0}};
  EXPECT_EQ(rows.shape(1).own, layers::kIdleRows);
  EXPECT_EQ(rows.shape(0).group, (RowCounts{.decode = 1, .prefill = 8}));
  EXPECT_EQ(rows.shape(1).group, rows.shape(0).group);
  EXPECT_EQ(rows.of(1).sequences(), 1);
  EXPECT_EQ(rows.of(1).tokens_of_a_sequence(), 1);
  const LayerRows decode{.rows = 8, .context = 20, .groups = {8, 0}};
  EXPECT_EQ(decode.shape(1).group, (RowCounts{.decode = 8, .prefill = 0}));
  EXPECT_EQ(decode.of(1).sequences(), 1);
}

}  // namespace
}  // namespace braid::lab

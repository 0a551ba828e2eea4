#include "kernels/moe/cpu/exchange.h"

#include "kernels/cpu/test_support.h"

namespace braid::kernels::cpu {
namespace {

struct Ordered {
  Ordered(const RankOrderDesc& desc, const std::vector<int32_t>& ids, int64_t top_k)
      : rows(std::ssize(ids) / top_k),
        counts(static_cast<size_t>(desc.ranks), 99),
        source(static_cast<size_t>(most_sends(rows, top_k, desc.ranks)), 99),
        places(static_cast<size_t>(rows * desc.ranks), 99) {
    rank_order(desc, rows, top_k, {ids.data(), top_k}, counts.data(), source.data(),
               {places.data(), desc.ranks});
  }
  int64_t rows;
  std::vector<int32_t> counts, source, places;
};

// Experts 0 and 1 on rank 0, 2 and 3 on rank 1, 4 and 5 on rank 2.
constexpr RankOrderDesc kThree{.ranks = 3, .experts_per_rank = 2};

TEST(RankOrderTest, RowsAreOrderedByRankAndSentOnceToEach) {
  const Ordered got(kThree, {5, 0, 1, 0, -1, -1, 2, 5}, 2);
  EXPECT_EQ(got.counts, (std::vector<int32_t>{2, 1, 2}));
  EXPECT_EQ(got.source, (std::vector<int32_t>{0, 1, 3, 0, 3, -1, -1, -1}));
  EXPECT_EQ(got.places, (std::vector<int32_t>{0, -1, 3, 1, -1, -1, -1, -1, -1, -1, 2, 4}));
}

TEST(RankOrderTest, AllRowsToOneRankAndNone) {
  const Ordered one(kThree, {2, 3, 3, 2, 2, 3}, 2);
  EXPECT_EQ(one.counts, (std::vector<int32_t>{0, 3, 0}));
  const Ordered none(kThree, {-1, -1, -1, -1}, 2);
  EXPECT_EQ(none.counts, (std::vector<int32_t>{0, 0, 0}));
  EXPECT_EQ(none.source, (std::vector<int32_t>(4, -1)));
  const Ordered empty(kThree, {}, 2);
  EXPECT_EQ(empty.counts, (std::vector<int32_t>{0, 0, 0}));
}

TEST(RankOrderTest, TheBoundOfSendsIsReached) {
  EXPECT_EQ(most_sends(4, 2, 3), 8);
  EXPECT_EQ(most_sends(4, 8, 3), 12);  // no more than one row a rank
  const Ordered all(kThree, {0, 2, 4, 1, 3, 5}, 3);
  EXPECT_EQ(all.source, (std::vector<int32_t>{0, 1, 0, 1, 0, 1}));
}

template <typename T>
class MergeRanksTest : public testing::Test {};
using AllTypes = testing::Types<float, bf16>;
TYPED_TEST_SUITE(MergeRanksTest, AllTypes);

TYPED_TEST(MergeRanksTest, AddsInTheOrderOfTheRanksRoundedOnce) {
  Random random(1);
  for (const int64_t cols : {1, 64, 150}) {
    Grid<TypeParam> from(random, 5, cols, 2), out(3, cols, 1);
    for (int64_t c = 0; c < cols; ++c) {  // terms that cancel: the order is seen
      from.at(1, c) = from_float<TypeParam>(to_float(from.at(1, c)) * 1e6f);
      from.at(2, c) = from_float<TypeParam>(-to_float(from.at(1, c)));
    }
    const std::vector<int32_t> places = {1, 0, 2, -1, 3, -1, -1, -1, -1};
    merge_ranks<TypeParam>(3, cols, 3, from.input(), {places.data(), 3}, out.matrix());
    for (int64_t c = 0; c < cols; ++c) {
      const auto term = [&](int64_t row) { return static_cast<float>(from.value(row, c)); };
      const float sum = (term(1) + term(0)) + term(2);
      EXPECT_EQ(out.value(0, c), static_cast<double>(to_float(from_float<TypeParam>(sum))));
      EXPECT_EQ(out.value(1, c), from.value(3, c));
      EXPECT_EQ(out.value(2, c), 0.0);
      EXPECT_FALSE(std::signbit(out.value(2, c)));
    }
    out.expect_padding_kept();
  }
}

// −0 of one rank and +0 of the ranks without the row are +0; −0 of all ranks stays.
TYPED_TEST(MergeRanksTest, SignsOfZerosAreThoseOfASumOverAllRanks) {
  Grid<TypeParam> from(3, 1), out(2, 1);
  for (int64_t row = 0; row < 3; ++row) from.at(row, 0) = from_float<TypeParam>(-0.0f);
  const std::vector<int32_t> places = {0, -1, 1, 2};
  merge_ranks<TypeParam>(2, 1, 2, from.input(), {places.data(), 2}, out.matrix());
  EXPECT_FALSE(std::signbit(out.value(0, 0)));
  EXPECT_TRUE(std::signbit(out.value(1, 0)));
}

TYPED_TEST(MergeRanksTest, IsRowInvariant) {
  Random random(2);
  const Grid<TypeParam> from(random, 70, 33);
  std::vector<int32_t> places;
  for (int32_t i = 0; i < 67 * 4; ++i) places.push_back(i * 13 % 71 - 1);
  expect_row_invariant<TypeParam>(33, [&](int64_t first, int64_t count, Grid<TypeParam>& out) {
    merge_ranks<TypeParam>(count, 33, 4, from.input(), {places.data() + first * 4, 4},
                           out.matrix());
  });
}

}  // namespace
}  // namespace braid::kernels::cpu

#include "kernels/rows/cpu/rows.h"

#include "kernels/cpu/test_support.h"

namespace braid::kernels::cpu {
namespace {

template <typename T>
class RowsTest : public testing::Test {};
using AllTypes = testing::Types<float, bf16>;
TYPED_TEST_SUITE(RowsTest, AllTypes);

TYPED_TEST(RowsTest, GatherTakesTheIndexedRowsAndZerosForMinusOne) {
  Random random(1);
  for (const int64_t cols : {1, 8, 29}) {
    const Grid<TypeParam> table(random, 7, cols, 2);
    const std::vector<int32_t> index{6, -1, 0, 0, 3, -1};
    Grid<TypeParam> out(6, cols, 1);
    gather_rows<TypeParam>({}, 6, cols, table.input(), index.data(), out.matrix());
    for (int64_t r = 0; r < 6; ++r) {
      const int32_t from = index[static_cast<size_t>(r)];
      for (int64_t c = 0; c < cols; ++c) {
        EXPECT_EQ(out.value(r, c), from < 0 ? 0.0 : table.value(from, c));
      }
    }
    out.expect_padding_kept();
  }
}

// Ids 10 … 13 of a table that holds nothing else, and a pad behind them.
TYPED_TEST(RowsTest, GatherGivesZerosForRowsThatAreElsewhere) {
  Random random(5);
  const Grid<TypeParam> table(random, 5, 9, 2);
  const std::vector<int32_t> index{9, 10, 13, 14, -1, INT32_MAX, 12, 0, INT32_MIN};
  const auto rows = std::ssize(index);
  Grid<TypeParam> out(rows, 9, 1);
  gather_rows<TypeParam>({.first = 10, .count = 4}, rows, 9, table.input(), index.data(),
                         out.matrix());
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t from = int64_t{index[static_cast<size_t>(r)]} - 10;
    const bool here = from >= 0 && from < 4;
    for (int64_t c = 0; c < 9; ++c) {
      EXPECT_EQ(out.value(r, c), here ? table.value(from, c) : 0.0) << r;
    }
  }
  out.expect_padding_kept();
}

// 7 columns of 3 parts: 3, 3 and 1; of 5 parts: 2, 2, 2, 1 and none.
TYPED_TEST(RowsTest, ColumnsOfAllPartsAreJoinedWithoutTheirPads) {
  Random random(6);
  for (const auto& [parts, each] : {std::pair<int64_t, int64_t>{1, 7}, {3, 3}, {5, 2}}) {
    const Grid<TypeParam> in(random, parts * 4, each + 2, 1);
    Grid<TypeParam> out(4, 7, 3);
    join_columns<TypeParam>({static_cast<int32_t>(parts)}, 3, 7, 4, in.input(), out.matrix());
    for (int64_t r = 0; r < 3; ++r) {
      for (int64_t c = 0; c < 7; ++c) {
        EXPECT_EQ(out.value(r, c), in.value(c / each * 4 + r, c % each)) << parts << " " << c;
      }
    }
    EXPECT_TRUE(out.same_row(3, Grid<TypeParam>(4, 7, 3), 3));  // beyond the rows that there are
    out.expect_padding_kept();
  }
}

TYPED_TEST(RowsTest, AddRoundsTheFloatSumOnce) {
  Random random(2);
  for (const int64_t cols : {1, 16, 41}) {
    Grid<TypeParam> a(random, 5, cols, 1), b(random, 5, cols, 2), out(5, cols, 3);
    add<TypeParam>(5, cols, a.input(), b.input(), out.matrix());
    for (int64_t r = 0; r < 5; ++r) {
      for (int64_t c = 0; c < cols; ++c) {
        const auto sum = static_cast<float>(a.value(r, c) + b.value(r, c));
        EXPECT_EQ(out.value(r, c), static_cast<double>(to_float(from_float<TypeParam>(sum))));
      }
    }
    out.expect_padding_kept();
  }
}

TYPED_TEST(RowsTest, AddWorksInPlaceOnEitherSide) {
  Random random(3);
  Grid<TypeParam> a(random, 4, 23), b(random, 4, 23), out(4, 23);
  add<TypeParam>(4, 23, a.input(), b.input(), out.matrix());
  Grid<TypeParam> left = a, right = b;
  add<TypeParam>(4, 23, left.input(), b.input(), left.matrix());
  add<TypeParam>(4, 23, a.input(), right.input(), right.matrix());
  for (int64_t r = 0; r < 4; ++r) {
    EXPECT_TRUE(left.same_row(r, out, r));
    EXPECT_TRUE(right.same_row(r, out, r));
  }
}

TYPED_TEST(RowsTest, BothAreRowInvariant) {
  Random random(4);
  const Grid<TypeParam> a(random, 67, 21), b(random, 67, 21);
  expect_row_invariant<TypeParam>(21, [&](int64_t first, int64_t count, Grid<TypeParam>& out) {
    add<TypeParam>(count, 21, a.input(first), b.input(first), out.matrix());
  });
  std::vector<int32_t> index;
  for (int32_t i = 0; i < 67; ++i) index.push_back(i * 5 % 68 - 1);
  expect_row_invariant<TypeParam>(21, [&](int64_t first, int64_t count, Grid<TypeParam>& out) {
    gather_rows<TypeParam>({}, count, 21, a.input(), index.data() + first, out.matrix());
  });
}

TEST(InputIdsTest, AnIdIsGivenOrWasSampledAndIsKept) {
  const std::vector<int32_t> given = {7, 8, 9, 10}, source = {-1, 2, 0, -1}, sampled = {40, 41, 42};
  const std::vector<int32_t> slots = {5, 0, -1, 3};
  std::vector<int32_t> out(5, -9), history(6, -9);
  input_ids(4, {.given = given.data(),
                .source = source.data(),
                .sampled = sampled.data(),
                .kv_slots = slots.data(),
                .out = out.data(),
                .history = history.data()});
  EXPECT_EQ(out, (std::vector<int32_t>{7, 42, 40, 10, -9}));
  EXPECT_EQ(history, (std::vector<int32_t>{42, -9, -9, 10, -9, 7}));
}

TYPED_TEST(RowsTest, NoRows) {
  gather_rows<TypeParam>({}, 0, 4, {}, nullptr, {});
  join_columns<TypeParam>({2}, 0, 4, 0, {}, {});
  add<TypeParam>(0, 4, {}, {}, {});
}

}  // namespace
}  // namespace braid::kernels::cpu

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
    gather_rows<TypeParam>(6, cols, table.input(), index.data(), out.matrix());
    for (int64_t r = 0; r < 6; ++r) {
      const int32_t from = index[static_cast<size_t>(r)];
      for (int64_t c = 0; c < cols; ++c) {
        EXPECT_EQ(out.value(r, c), from < 0 ? 0.0 : table.value(from, c));
      }
    }
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
    gather_rows<TypeParam>(count, 21, a.input(), index.data() + first, out.matrix());
  });
}

TYPED_TEST(RowsTest, NoRows) {
  gather_rows<TypeParam>(0, 4, {}, nullptr, {});
  add<TypeParam>(0, 4, {}, {}, {});
}

}  // namespace
}  // namespace braid::kernels::cpu

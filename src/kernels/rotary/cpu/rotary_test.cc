#include "kernels/rotary/cpu/rotary.h"

#include <complex>

#include "kernels/cpu/test_support.h"

namespace braid::kernels::cpu {
namespace {

std::vector<float> frequencies(int64_t dims) {
  std::vector<float> out;
  for (int64_t i = 0; i < dims / 2; ++i) {
    out.push_back(static_cast<float>(
        std::pow(10000.0, -2.0 * static_cast<double>(i) / static_cast<double>(dims))));
  }
  return out;
}

Grid<float> table_of(const std::vector<int32_t>& positions, int64_t dims, float multiplier = 1) {
  const auto rows = static_cast<int64_t>(positions.size());
  Grid<float> table(rows, dims, 3);
  rotary_table({multiplier}, rows, dims, positions.data(), frequencies(dims).data(),
               table.matrix());
  table.expect_padding_kept();
  return table;
}

TEST(RotaryTableTest, HoldsCosinesThenSinesTimesTheMultiplier) {
  const std::vector<int32_t> positions{0, 1, 2, 1000, 131071};
  const auto frequency = frequencies(10);
  const Grid<float> table = table_of(positions, 10, 1.25f);
  for (int64_t r = 0; r < 5; ++r) {
    for (int64_t i = 0; i < 5; ++i) {
      const float angle =
          static_cast<float>(positions[static_cast<size_t>(r)]) * frequency[static_cast<size_t>(i)];
      EXPECT_NEAR(table.value(r, i), 1.25 * std::cos(static_cast<double>(angle)), 2e-7);
      EXPECT_NEAR(table.value(r, 5 + i), 1.25 * std::sin(static_cast<double>(angle)), 2e-7);
    }
  }
  EXPECT_EQ(table.value(0, 0), 1.25);
  EXPECT_EQ(table.value(0, 5), 0.0);
}

TEST(RotaryTableTest, IsRowInvariant) {
  std::vector<int32_t> positions;
  for (int32_t i = 0; i < 67; ++i) positions.push_back(i * 97 % 4096);
  const auto frequency = frequencies(14);
  expect_row_invariant<float>(14, [&](int64_t first, int64_t count, Grid<float>& out) {
    rotary_table({1.1f}, count, 14, positions.data() + first, frequency.data(), out.matrix());
  });
}

template <typename T>
class RotaryTest : public testing::Test {};
using AllTypes = testing::Types<float, bf16>;
TYPED_TEST_SUITE(RotaryTest, AllTypes);

// Pairs as complex numbers, times e^(i·angle); what lies outside of [offset, offset + dims) stays.
template <typename T>
void check(Random& random, const RotaryDesc& desc, int64_t heads) {
  const std::vector<int32_t> positions{0, 7, 300, 1};
  const Grid<float> table = table_of(positions, desc.dims);
  const int64_t cols = heads * desc.head_dim;
  Grid<T> x(random, 4, cols, 2);
  const Grid<T> before = x;
  rotary<T>(desc, 4, cols, table.input(), x.matrix());
  x.expect_padding_kept();

  Grid<float> expected(4, cols);
  for (int64_t r = 0; r < 4; ++r) {
    for (int64_t c = 0; c < cols; ++c) expected.at(r, c) = static_cast<float>(before.value(r, c));
    for (int64_t head = 0; head < heads; ++head) {
      for (int64_t i = 0; i < desc.dims / 2; ++i) {
        const int64_t first = head * desc.head_dim + desc.offset;
        const int64_t a = first + (desc.interleaved != 0 ? 2 * i : i);
        const int64_t b = desc.interleaved != 0 ? a + 1 : a + desc.dims / 2;
        const std::complex<double> pair(before.value(r, a), before.value(r, b));
        const std::complex<double> factor(table.value(r, i), table.value(r, desc.dims / 2 + i));
        expected.at(r, a) = static_cast<float>((pair * factor).real());
        expected.at(r, b) = static_cast<float>((pair * factor).imag());
      }
    }
    for (int64_t c = 0; c < cols; ++c) {
      ASSERT_NEAR(x.value(r, c), expected.value(r, c), 2 * kRounding<T> + 1e-6) << r << "," << c;
      const int64_t in_head = c % desc.head_dim - desc.offset;
      if (in_head < 0 || in_head >= desc.dims) {
        ASSERT_EQ(x.value(r, c), before.value(r, c));
      }
    }
  }
}

TYPED_TEST(RotaryTest, TurnsPairs) {
  Random random(1);
  for (const int32_t interleaved : {0, 1}) {
    for (const int64_t heads : {1, 3}) {
      check<TypeParam>(random, {64, 0, 64, interleaved}, heads);
      check<TypeParam>(random, {64, 0, 32, interleaved}, heads);  // partial
      check<TypeParam>(random, {24, 16, 8, interleaved}, heads);  // nope | rope
      check<TypeParam>(random, {13, 3, 6, interleaved}, heads);
      check<TypeParam>(random, {2, 0, 2, interleaved}, heads);
    }
  }
}

TYPED_TEST(RotaryTest, PositionZeroChangesNothing) {
  Random random(2);
  const Grid<float> table = table_of({0, 0}, 8);
  Grid<TypeParam> x(random, 2, 16);
  const Grid<TypeParam> before = x;
  rotary<TypeParam>({8, 0, 8, 0}, 2, 16, table.input(), x.matrix());
  for (int64_t r = 0; r < 2; ++r) {
    for (int64_t c = 0; c < 16; ++c) EXPECT_EQ(x.value(r, c), before.value(r, c));
  }
}

// What rotary embedding is for: q(m) · k(n) depends on m − n alone.
TEST(RotaryMeaningTest, DotProductsDependOnTheDistance) {
  Random random(3);
  for (const int32_t interleaved : {0, 1}) {
    const Grid<float> table = table_of({3, 10, 503, 510}, 32);
    const Grid<float> q(random, 1, 32), k(random, 1, 32);
    Grid<float> turned_q(4, 32), turned_k(4, 32);
    for (int64_t r = 0; r < 4; ++r) {
      std::copy_n(q.input().data, 32, turned_q.matrix().row(r));
      std::copy_n(k.input().data, 32, turned_k.matrix().row(r));
    }
    rotary<float>({32, 0, 32, interleaved}, 4, 32, table.input(), turned_q.matrix());
    rotary<float>({32, 0, 32, interleaved}, 4, 32, table.input(), turned_k.matrix());
    const auto dot = [&](int64_t m, int64_t n) {
      double sum = 0;
      for (int64_t c = 0; c < 32; ++c) sum += turned_q.value(m, c) * turned_k.value(n, c);
      return sum;
    };
    EXPECT_NEAR(dot(1, 0), dot(3, 2), 2e-4);
    EXPECT_GT(std::abs(dot(1, 0) - dot(2, 0)), 1e-2);
  }
}

TYPED_TEST(RotaryTest, IsRowInvariant) {
  Random random(4);
  std::vector<int32_t> positions;
  for (int32_t i = 0; i < 67; ++i) positions.push_back(i * 31 % 500);
  const Grid<float> table = table_of(positions, 12);
  const Grid<TypeParam> x(random, 67, 40);
  for (const int32_t interleaved : {0, 1}) {
    expect_row_invariant<TypeParam>(40, [&](int64_t first, int64_t count, Grid<TypeParam>& out) {
      for (int64_t r = 0; r < count; ++r) {
        std::copy_n(x.input().row(first + r), 40, out.matrix().row(r));
      }
      rotary<TypeParam>({20, 5, 12, interleaved}, count, 40, table.input(first), out.matrix());
    });
  }
}

}  // namespace
}  // namespace braid::kernels::cpu

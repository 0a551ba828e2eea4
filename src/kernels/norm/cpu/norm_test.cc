#include "kernels/norm/cpu/norm.h"

#include "kernels/cpu/test_support.h"

namespace braid::kernels::cpu {
namespace {

template <typename T>
class RmsNormTest : public testing::Test {};
using AllTypes = testing::Types<float, bf16>;
TYPED_TEST_SUITE(RmsNormTest, AllTypes);

// w · x / sqrt(mean(x²) + eps) over the group that the column is in.
template <typename T>
double exact(const RmsNormDesc& desc, const Grid<T>& x, const Grid<T>& w, int64_t row,
             int64_t col) {
  const int64_t group = desc.group == 0 ? x.cols() : desc.group;
  const int64_t first = col / group * group;
  double squares = 0;
  for (int64_t c = first; c < first + group; ++c) squares += x.value(row, c) * x.value(row, c);
  const double mean = squares / static_cast<double>(group);
  return w.value(0, col - first) * x.value(row, col) /
         std::sqrt(mean + static_cast<double>(desc.eps));
}

TYPED_TEST(RmsNormTest, EqualsTheDefinition) {
  Random random(1);
  for (const int64_t group : {0, 1, 17, 64}) {
    for (const int64_t groups : {1, 3, 5}) {
      const RmsNormDesc desc{1e-5f, static_cast<int32_t>(group)};
      const int64_t cols = groups * (group == 0 ? 37 : group);
      Grid<TypeParam> x(random, 6, cols, 2), w(random, 1, group == 0 ? cols : group), y(6, cols, 3);
      rms_norm<TypeParam>(desc, 6, cols, x.input(), w.input().data, y.matrix());
      for (int64_t r = 0; r < 6; ++r) {
        for (int64_t c = 0; c < cols; ++c) {
          const double want = exact(desc, x, w, r, c);
          ASSERT_NEAR(y.value(r, c), want, std::abs(want) * (kRounding<TypeParam> + 2e-6));
        }
      }
      y.expect_padding_kept();
    }
  }
}

TYPED_TEST(RmsNormTest, WorksInPlace) {
  Random random(2);
  for (const RmsNormDesc desc : {RmsNormDesc{}, RmsNormDesc{1e-6f, 16}}) {
    Grid<TypeParam> x(random, 5, 48), w(random, 1, 48), y(5, 48);
    rms_norm<TypeParam>(desc, 5, 48, x.input(), w.input().data, y.matrix());
    rms_norm<TypeParam>(desc, 5, 48, x.input(), w.input().data, x.matrix());
    for (int64_t r = 0; r < 5; ++r) EXPECT_TRUE(x.same_row(r, y, r));
  }
}

TYPED_TEST(RmsNormTest, IsRowInvariant) {
  Random random(3);
  for (const RmsNormDesc desc : {RmsNormDesc{}, RmsNormDesc{1e-6f, 19}}) {
    const Grid<TypeParam> x(random, 67, 57), w(random, 1, 57);
    expect_row_invariant<TypeParam>(57, [&](int64_t first, int64_t count, Grid<TypeParam>& out) {
      rms_norm<TypeParam>(desc, count, 57, x.input(first), w.input().data, out.matrix());
    });
  }
}

TYPED_TEST(RmsNormTest, ZerosStayZerosAndScaleCancels) {
  Random random(4);
  Grid<TypeParam> x(random, 2, 40), w(random, 1, 40), y(2, 40);
  for (int64_t c = 0; c < 40; ++c) {
    x.at(0, c) = TypeParam{};
    w.at(0, c) = from_float<TypeParam>(1.0f);
  }
  rms_norm<TypeParam>({1e-6f, 0}, 2, 40, x.input(), w.input().data, y.matrix());
  double squares = 0;
  for (int64_t c = 0; c < 40; ++c) {
    EXPECT_EQ(y.value(0, c), 0.0);
    squares += y.value(1, c) * y.value(1, c);
  }
  EXPECT_NEAR(squares / 40, 1.0, 4 * kRounding<TypeParam> + 1e-4);
}

TEST(RmsNormRoundingTest, Bfloat16IsRoundedOnceAtTheEnd) {
  Random random(5);
  Grid<bf16> x(random, 3, 33), w(random, 1, 33), y(3, 33);
  Grid<float> wide_x(3, 33), wide_w(1, 33), wide_y(3, 33);
  for (int64_t c = 0; c < 33; ++c) {
    wide_w.at(0, c) = to_float(w.at(0, c));
    for (int64_t r = 0; r < 3; ++r) wide_x.at(r, c) = to_float(x.at(r, c));
  }
  rms_norm<bf16>({}, 3, 33, x.input(), w.input().data, y.matrix());
  rms_norm<float>({}, 3, 33, wide_x.input(), wide_w.input().data, wide_y.matrix());
  for (int64_t r = 0; r < 3; ++r) {
    for (int64_t c = 0; c < 33; ++c) {
      EXPECT_EQ(y.at(r, c).bits, from_float<bf16>(wide_y.at(r, c)).bits);
    }
  }
}

}  // namespace
}  // namespace braid::kernels::cpu

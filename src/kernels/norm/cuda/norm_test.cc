#include "kernels/norm/cuda/norm.h"

#include "kernels/cuda/test_support.h"
#include "kernels/norm/cpu/norm.h"
#include "kernels/rows/cuda/rows.h"

namespace braid::kernels::cuda {
namespace {

template <typename T>
class CudaRmsNormTest : public testing::Test {};
using AllTypes = testing::Types<float, bf16>;
TYPED_TEST_SUITE(CudaRmsNormTest, AllTypes);

template <typename T>
constexpr double kBound = std::is_same_v<T, float> ? 1e-6 : 4e-3;

struct Shape {
  int64_t rows;
  int64_t cols;
  int32_t group;    // 0: the whole row
  int64_t padding;  // behind a row
  int64_t first_col = 0;
};

constexpr Shape kShapes[] = {
    {1, 2048, 0, 0},       {5, 7168, 0, 16},        {127, 5120, 0, 8},
    {3, 1025, 0, 0},       {2, 20000, 0, 3},        {4, 37, 0, 2},
    {5, 12 * 128, 128, 8}, {127, 3 * 64, 64, 0},    {7, 96 * 128, 128, 0},
    {3, 5 * 17, 17, 1},    {2, 512, 512, 64},       {6, 4 * 128, 128, 128, 128},
    {6, 1536, 0, 40, 5},   {1, 4 * 2048, 2048, 16}, {9, 1, 0, 0},
};

TYPED_TEST(CudaRmsNormTest, EqualsTheCpu) {
  BRAID_NEEDS_GPU();
  Random random(1);
  for (const auto& [rows, cols, group, padding, first_col] : kShapes) {
    SCOPED_TRACE(testing::Message() << rows << " x " << cols << " group " << group);
    const RmsNormDesc desc{1e-5f, group};
    const Grid<TypeParam> x(random, rows, first_col + cols, padding);
    const Grid<TypeParam> w(random, 1, group == 0 ? cols : group);
    Grid<TypeParam> want(rows, cols);
    cpu::rms_norm<TypeParam>(desc, rows, cols, on_cpu(x, 0, first_col), w.input().data,
                             want.matrix());
    const DeviceGrid<TypeParam> device_x(x), device_w(w), y(rows, cols, padding);
    rms_norm<TypeParam>(desc, {rows}, cols, device_x.input(0, first_col), device_w.input().data,
                        y.matrix(), nullptr);
    Grid<TypeParam> got = y.fetch();
    expect_near(got, want, rows, kBound<TypeParam>);
  }
}

TYPED_TEST(CudaRmsNormTest, AddAndNormHasTheBitsOfBoth) {
  BRAID_NEEDS_GPU();
  Random random(5);
  for (const auto& [rows, cols, padding] : {std::array<int64_t, 3>{1, 2048, 0},
                                            {5, 7168, 16},
                                            {64, 4096, 0},
                                            {3, 1025, 0},
                                            {2, 20000, 3},
                                            {4, 37, 2},
                                            {7, 512, 8}}) {
    SCOPED_TRACE(testing::Message() << rows << " x " << cols);
    const Grid<TypeParam> a(random, rows, cols, padding), b(random, rows, cols, 0),
        w(random, 1, cols);
    const DeviceGrid<TypeParam> device_a(a), device_b(b), device_w(w);
    const DeviceGrid<TypeParam> sum(rows, cols, padding), y(rows, cols), want_sum(rows, cols),
        want(rows, cols);
    add_rms_norm<TypeParam>({1e-5f}, {rows}, cols, device_a.input(), device_b.input(),
                            device_w.input().data, sum.matrix(), y.matrix(), nullptr);
    add<TypeParam>({rows}, cols, device_a.input(), device_b.input(), want_sum.matrix(), nullptr);
    rms_norm<TypeParam>({1e-5f, 0}, {rows}, cols, want_sum.input(), device_w.input().data,
                        want.matrix(), nullptr);
    Grid<TypeParam> got_sum = sum.fetch(), got = y.fetch();
    expect_same(got_sum, want_sum.fetch(), rows);
    expect_same(got, want.fetch(), rows);
  }
}

TYPED_TEST(CudaRmsNormTest, WorksInPlaceOnColumnsOfAWiderMatrix) {
  BRAID_NEEDS_GPU();
  Random random(2);
  for (const RmsNormDesc desc : {RmsNormDesc{}, RmsNormDesc{1e-6f, 64}, RmsNormDesc{1e-6f, 2048}}) {
    const Grid<TypeParam> x(random, 5, 64 + 4096 + 128), w(random, 1, 4096);
    const DeviceGrid<TypeParam> device_w(w), in(x), out(5, 4096);
    rms_norm<TypeParam>(desc, {5}, 4096, in.input(0, 64), device_w.input().data, out.matrix(),
                        nullptr);
    rms_norm<TypeParam>(desc, {5}, 4096, in.input(0, 64), device_w.input().data, in.matrix(0, 64),
                        nullptr);
    Grid<TypeParam> want = out.fetch();
    Grid<TypeParam> got = in.fetch();
    for (int64_t r = 0; r < 5; ++r) {
      for (int64_t c = 0; c < x.cols(); ++c) {
        const bool inside = c >= 64 && c < 64 + 4096;
        ASSERT_EQ(got.value(r, c), inside ? want.value(r, c - 64) : x.value(r, c));
      }
    }
  }
}

TYPED_TEST(CudaRmsNormTest, TheCountLimitsTheRows) {
  BRAID_NEEDS_GPU();
  Random random(3);
  for (const int32_t group : {0, 128}) {
    const RmsNormDesc desc{1e-6f, group};
    const Grid<TypeParam> x(random, 9, 2048), w(random, 1, 2048);
    Grid<TypeParam> want(9, 2048);
    cpu::rms_norm<TypeParam>(desc, 9, 2048, x.input(), w.input().data, want.matrix());
    const DeviceGrid<TypeParam> device_x(x), device_w(w);
    for (const auto& [count, first, live] :
         {std::array<int32_t, 3>{4, 0, 4}, {4, 3, 1}, {4, 6, 0}, {40, 0, 9}, {0, 0, 0}}) {
      const DeviceArray<int32_t> device_count(std::vector<int32_t>{count});
      const DeviceGrid<TypeParam> y(9, 2048);
      rms_norm<TypeParam>(desc, {9, first, device_count.data()}, 2048, device_x.input(),
                          device_w.input().data, y.matrix(), nullptr);
      Grid<TypeParam> got = y.fetch();
      expect_near(got, want, live, kBound<TypeParam>);
    }
  }
}

TYPED_TEST(CudaRmsNormTest, IsRowInvariant) {
  BRAID_NEEDS_GPU();
  Random random(4);
  for (const int64_t cols : {192, 4096, 57}) {
    for (const int32_t group : {0, static_cast<int32_t>(cols / 3)}) {
      if (group != 0 && cols % group != 0) continue;
      const Grid<TypeParam> x(random, 67, cols), w(random, 1, cols);
      const DeviceGrid<TypeParam> device_x(x), device_w(w);
      const auto run = [&](int64_t first, int64_t count, Matrix<TypeParam> out) {
        rms_norm<TypeParam>({1e-6f, group}, {count}, cols, device_x.input(first),
                            device_w.input().data, out, nullptr);
      };
      expect_row_invariant<TypeParam>(67, cols, run);
    }
  }
}

}  // namespace
}  // namespace braid::kernels::cuda

#include "kernels/fill/cuda/fill.h"

#include "kernels/cuda/test_support.h"
#include "kernels/fill/cpu/fill.h"

namespace braid::kernels::cuda {
namespace {

template <typename T>
class CudaFillTest : public testing::Test {};
using AllTypes = testing::Types<float, bf16>;
TYPED_TEST_SUITE(CudaFillTest, AllTypes);

struct Shape {
  int64_t rows;
  int64_t columns;  // that are numbers
  int64_t cols;
  int64_t padding = 0;
  int64_t first_col = 0;
};
// Whole packs, odd widths and strides, views at an odd column, pads, nothing but pads, vectors.
constexpr Shape kShapes[] = {
    {1, 2048, 2048}, {127, 7168, 7168, 16}, {5, 33, 33, 7},     {129, 90, 96}, {3, 0, 16},
    {1000, 1, 1},    {3, 9000, 9008, 0},    {4, 61, 64, 11, 5}, {70000, 8, 8}};

TYPED_TEST(CudaFillTest, TheNumbersAreTheCpusBitForBit) {
  BRAID_NEEDS_GPU();
  for (const auto& [rows, columns, cols, padding, first_col] : kShapes) {
    for (const uint64_t first : {uint64_t{0}, uint64_t{3}, uint64_t{5000000001}}) {
      for (const bool to_bf16 : {false, true}) {
        SCOPED_TRACE(testing::Message() << rows << " x " << cols << " from " << first);
        const UniformDesc desc{.key = 0x123456789abcdef0u,
                               .bound = 0.034641016f,
                               .to_bf16 = to_bf16,
                               .first = first,
                               .stride = static_cast<uint64_t>(columns + 3),
                               .columns = columns};
        Grid<TypeParam> want(rows, cols);
        cpu::fill_uniform<TypeParam>(desc, rows, cols, want.matrix());
        const DeviceGrid<TypeParam> out(rows, first_col + cols, padding);
        fill_uniform<TypeParam>(desc, rows, cols, out.matrix(0, first_col), nullptr);
        const Grid<TypeParam> got = out.fetch();
        for (int64_t r = 0; r < rows; ++r) {
          ASSERT_EQ(std::memcmp(got.input().row(r) + first_col, want.input().row(r),
                                static_cast<size_t>(cols) * sizeof(TypeParam)),
                    0)
              << "row " << r;
          for (int64_t c = 0; c < first_col; ++c) {
            ASSERT_TRUE(is_untouched(got.input().row(r)[c])) << "row " << r << " column " << c;
          }
        }
      }
    }
  }
}

// All 65536 numbers that there are.
TYPED_TEST(CudaFillTest, EveryNumberIsRoundedAlike) {
  BRAID_NEEDS_GPU();
  const int64_t count = int64_t{1} << 20;
  const UniformDesc desc{.key = 9, .bound = 0.01f, .stride = 0, .columns = count};
  Grid<TypeParam> want(1, count);
  cpu::fill_uniform<TypeParam>(desc, 1, count, want.matrix());
  const DeviceGrid<TypeParam> out(1, count);
  fill_uniform<TypeParam>(desc, 1, count, out.matrix(), nullptr);
  Grid<TypeParam> got = out.fetch();
  expect_same(got, want, 1);
}

}  // namespace
}  // namespace braid::kernels::cuda

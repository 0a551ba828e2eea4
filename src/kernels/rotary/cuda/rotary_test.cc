#include "kernels/rotary/cuda/rotary.h"

#include "kernels/cuda/test_support.h"
#include "kernels/rotary/cpu/rotary.h"

namespace braid::kernels::cuda {
namespace {

std::vector<float> frequencies(int64_t dims) {
  std::vector<float> out;
  for (int64_t i = 0; i < dims / 2; ++i) {
    out.push_back(std::pow(1e6f, -2.0f * static_cast<float>(i) / static_cast<float>(dims)));
  }
  return out;
}

TEST(CudaRotaryTest, TableEqualsTheCpu) {
  BRAID_NEEDS_GPU();
  Random random(1);
  for (const int64_t dims : {2, 64, 128}) {
    std::vector<int32_t> positions{0, 1, 131071, 1000000};
    while (positions.size() < 127) {
      positions.push_back(static_cast<int32_t>(cpu::random_below(random, 40960)));
    }
    const std::vector<float> inverse = frequencies(dims);
    const RotaryTableDesc desc{1.25f};
    Grid<float> want(127, dims);
    cpu::rotary_table(desc, 127, dims, positions.data(), inverse.data(), want.matrix());
    const DeviceArray<int32_t> device_positions(positions);
    const DeviceArray<float> device_inverse(inverse);
    const DeviceGrid<float> table(127, dims, 4);
    rotary_table(desc, 127, dims, device_positions.data(), device_inverse.data(), table.matrix(),
                 nullptr);
    const Grid<float> got = table.fetch();
    for (int64_t r = 0; r < 127; ++r) {
      for (int64_t c = 0; c < dims; ++c) {
        // One unit in the last place of the larger of cosine and sine.
        ASSERT_NEAR(got.value(r, c), want.value(r, c), 1.25 * 0x1p-23) << r << " " << c;
      }
    }
  }
}

template <typename T>
class CudaRotationTest : public testing::Test {};
using AllTypes = testing::Types<float, bf16>;
TYPED_TEST_SUITE(CudaRotationTest, AllTypes);

struct Case {
  int64_t rows;
  int64_t heads;
  RotaryDesc desc;
  int64_t padding;
  int64_t first_col = 0;
};

constexpr Case kCases[] = {
    {1, 36, {128, 0, 128, 0}, 512},  // q and k among q, k and v
    {127, 8, {128, 0, 64, 0}, 0},    // half of every head
    {5, 3, {64, 0, 64, 0}, 64},       {5, 3, {64, 16, 32, 0}, 0},
    {5, 3, {192, 128, 64, 1}, 0},  // the end of every head, interleaved
    {7, 1, {64, 0, 64, 1}, 512, 512}, {4, 5, {18, 2, 14, 0}, 1},
    {4, 5, {18, 2, 14, 1}, 1},        {3, 2, {128, 0, 128, 0}, 8, 3},  // packs would not be aligned
};

TYPED_TEST(CudaRotationTest, HasTheCpusBits) {
  BRAID_NEEDS_GPU();
  Random random(2);
  for (const auto& [rows, heads, desc, padding, first_col] : kCases) {
    SCOPED_TRACE(testing::Message() << heads << " heads of " << desc.head_dim << ", " << desc.dims
                                    << " from " << desc.offset);
    const int64_t cols = heads * desc.head_dim;
    const Grid<float> table(random, rows, desc.dims);
    Grid<TypeParam> want(random, rows, first_col + cols, padding);
    const DeviceGrid<TypeParam> x(want);
    const DeviceGrid<float> device_table(table);
    rotary<TypeParam>(desc, rows, cols, device_table.input(), x.matrix(0, first_col), nullptr);
    Matrix<TypeParam> from = want.matrix();
    cpu::rotary<TypeParam>(desc, rows, cols, table.input(), {from.data + first_col, from.stride});
    Grid<TypeParam> got = x.fetch();
    expect_same(got, want, rows);
  }
}

}  // namespace
}  // namespace braid::kernels::cuda

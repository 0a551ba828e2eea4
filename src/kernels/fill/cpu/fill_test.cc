#include "kernels/fill/cpu/fill.h"

#include "kernels/cpu/test_support.h"

namespace braid::kernels::cpu {
namespace {

// The definition, one number at a time.
float number(const UniformDesc& desc, uint64_t index) {
  const uint64_t hash = mix(desc.key + (index / 4) * 0x9e3779b97f4a7c15u);
  const auto bits = static_cast<double>((hash >> (16 * (index % 4))) & 0xffff);
  return desc.bound * static_cast<float>((bits - 32767.5) / 32768);
}

template <typename T>
class FillTest : public testing::Test {};
using AllTypes = testing::Types<float, bf16>;
TYPED_TEST_SUITE(FillTest, AllTypes);

TYPED_TEST(FillTest, EveryElementIsTheNumberOfItsIndexAndPadsAreZeros) {
  for (const uint64_t first : {0u, 1u, 2u, 3u, 1000003u}) {
    for (const auto& [columns, cols] :
         {std::pair<int64_t, int64_t>{0, 5}, {1, 1}, {7, 16}, {256, 256}, {255, 300}, {600, 608}}) {
      const UniformDesc desc{
          .key = 77, .bound = 0.5f, .first = first, .stride = 1001, .columns = columns};
      Grid<TypeParam> out(3, cols, 2);
      fill_uniform<TypeParam>(desc, 3, cols, out.matrix());
      out.expect_padding_kept();
      for (int64_t r = 0; r < 3; ++r) {
        for (int64_t c = 0; c < cols; ++c) {
          const uint64_t index = first + static_cast<uint64_t>(r * 1001 + c);
          const float want = c < columns ? number(desc, index) : 0.0f;
          ASSERT_EQ(out.value(r, c), static_cast<double>(to_float(from_float<TypeParam>(want))))
              << "row " << r << " column " << c << " of " << columns << " from " << first;
        }
      }
    }
  }
}

TEST(FillRoundedTest, NumbersInFloat32AreThoseOfBfloat16) {
  const UniformDesc desc{.key = 5, .bound = 0.03f, .first = 6, .stride = 90, .columns = 90};
  UniformDesc rounded = desc;
  rounded.to_bf16 = true;
  Grid<float> wide(4, 96);
  Grid<bf16> narrow(4, 96), again(4, 96);
  fill_uniform<float>(rounded, 4, 96, wide.matrix());
  fill_uniform<bf16>(desc, 4, 96, narrow.matrix());
  fill_uniform<bf16>(rounded, 4, 96, again.matrix());
  for (int64_t r = 0; r < 4; ++r) {
    EXPECT_TRUE(again.same_row(r, narrow, r));
    for (int64_t c = 0; c < 96; ++c) EXPECT_EQ(wide.value(r, c), narrow.value(r, c));
  }
}

}  // namespace
}  // namespace braid::kernels::cpu

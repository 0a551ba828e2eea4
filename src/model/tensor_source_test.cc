#include "model/tensor_source.h"

#include <cmath>
#include <limits>

#include "model/testing.h"

namespace braid::model {
namespace {

// A source of one tensor whose element i is values[i].
class FixedSource final : public TensorSource {
 public:
  FixedSource(std::vector<float> values, SourceOptions options)
      : TensorSource(options), values_(std::move(values)) {}
  bool has(std::string_view) const override { return true; }
  int64_t bytes(std::string_view) const override { return 0; }
  int64_t bytes() const override { return 0; }

 private:
  Status read_checked(std::string_view, std::span<const int64_t> shape, const Block& block,
                      std::span<float> out) const override {
    for (int64_t i = 0; i < std::ssize(out); ++i) {
      const int64_t row = block.first_row + i / block.columns;
      const int64_t column = block.first_column + i % block.columns;
      out[static_cast<size_t>(i)] = values_[static_cast<size_t>(row * columns_of(shape) + column)];
    }
    return {};
  }
  std::vector<float> values_;
};

const std::vector<int64_t> kShape = {3, 4};

std::vector<float> counted() {
  std::vector<float> values(12);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  return values;
}

TEST(TensorSourceTest, ReadsAllRowsOrABlock) {
  const FixedSource source(counted(), {});
  std::vector<float> out(12);
  ASSERT_TRUE(source.read("x", kShape, out).ok());
  EXPECT_EQ(out, counted());
  out.resize(4);
  ASSERT_TRUE(source.read_rows("x", kShape, 1, 1, out).ok());
  EXPECT_EQ(out, (std::vector<float>{4, 5, 6, 7}));
  ASSERT_TRUE(source.read_block("x", kShape, {1, 2, 2, 2}, out).ok());
  EXPECT_EQ(out, (std::vector<float>{6, 7, 10, 11}));
  EXPECT_TRUE(source.read_rows("x", kShape, 3, 0, {}).ok());
}

TEST(TensorSourceTest, ShapesOfOtherRanks) {
  EXPECT_EQ(columns_of({}), 1);
  EXPECT_EQ(columns_of(std::vector<int64_t>{7}), 1);
  EXPECT_EQ(columns_of(std::vector<int64_t>{7, 2, 3}), 6);
  const FixedSource source(counted(), {});
  float scalar = -1.0f;
  ASSERT_TRUE(source.read("x", {}, std::span(&scalar, 1)).ok());
  EXPECT_EQ(scalar, 0.0f);
}

TEST(TensorSourceTest, ChecksWeightsWhenAsked) {
  std::vector<float> values = counted();
  values[10] = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> out(6);
  EXPECT_TRUE(FixedSource(values, {}).read_block("x", kShape, {1, 2, 1, 3}, out).ok());
  const FixedSource checked(values, {.check_weights = true});
  EXPECT_EQ(testing::text_of(checked.read_block("x", kShape, {1, 2, 1, 3}, out)),
            "a weight is not a finite number (tensor = x, row = 2, column = 2, value = nan). "
            "Download the model again.");
  out.resize(4);
  EXPECT_TRUE(checked.read_rows("x", kShape, 1, 1, out).ok());  // not where the NaN is
}

TEST(TensorSourceTest, FindNonFinite) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(find_non_finite({}), std::nullopt);
  EXPECT_EQ(find_non_finite(counted()), std::nullopt);
  EXPECT_EQ(find_non_finite(std::vector{1.0f, kInfinity, NAN}), 1);
  EXPECT_EQ(find_non_finite(std::vector{1.0f, 2.0f, -kInfinity}), 2);
  EXPECT_EQ(find_non_finite(std::vector{NAN}), 0);
}

TEST(TensorSourceDeathTest, ABlockOutsideOfTheTensorIsTheCallersMistake) {
  const FixedSource source(counted(), {});
  std::vector<float> out(4);
  EXPECT_DEATH((void)source.read_rows("x", kShape, 3, 1, out), "rows of x");
  EXPECT_DEATH((void)source.read_block("x", kShape, {0, 2, 3, 2}, out), "columns of x");
  EXPECT_DEATH((void)source.read("x", kShape, out), "size of the output for x");
}

}  // namespace
}  // namespace braid::model

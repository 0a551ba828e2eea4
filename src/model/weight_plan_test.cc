#include "model/weight_plan.h"

#include <gtest/gtest.h>

#include <atomic>

#include "base/float16.h"
#include "device/cpu/cpu_device.h"
#include "ops/register_cpu.h"

namespace braid::model {
namespace {

// Value (row, column) of every tensor is 100 · row + column; "broken" can't be read.
class CountingSource final : public TensorSource {
 public:
  CountingSource() : TensorSource({}) {}
  bool has(std::string_view) const override { return true; }
  int64_t bytes(std::string_view) const override { return 0; }
  int64_t bytes() const override { return 0; }

 private:
  Status read_checked(std::string_view name, std::span<const int64_t>, const Block& block,
                      std::span<float> out) const override {
    if (name == "broken") return Error(ErrorKind::corrupt_data, "broken").with("tensor", name);
    for (int64_t row = 0; row < block.rows; ++row) {
      for (int64_t column = 0; column < block.columns; ++column) {
        out[static_cast<size_t>(row * block.columns + column)] =
            static_cast<float>(100 * (block.first_row + row) + block.first_column + column);
      }
    }
    return {};
  }
};

class WeightPlanTest : public ::testing::Test {
 protected:
  Status load() {
    for (int32_t i = 0; i < residents_.size(); ++i) {
      memory_.push_back(device_.allocate(residents_[i].bytes()).value());
      residents_.set_data(i, 0, memory_.back().data());
    }
    ops::register_cpu(kernels_);
    return plan_.load(
        CountingSource(), residents_,
        {.device = device_, .kernels = kernels_, .threads = 2, .progress = [this](int64_t bytes) {
           loaded_ += bytes;
         }});
  }

  std::vector<float> values(int32_t resident) const {
    const auto* data = reinterpret_cast<const float*>(residents_.data(resident));
    return {data, data + residents_[resident].rows * residents_[resident].cols};
  }

  device::CpuDevice device_;
  flow::LauncherTable kernels_;
  flow::Residents residents_;
  WeightPlan plan_;
  std::vector<device::Memory> memory_;
  std::atomic<int64_t> loaded_ = 0;
};

TEST_F(WeightPlanTest, PartsFollowOneAnother) {
  const int32_t w =
      plan_.add(residents_, "w", Format::f32, 3, 2, {{"a", {2, 2}, 0}, {"b", {1, 2}, 2}});
  ASSERT_TRUE(load().ok());
  EXPECT_EQ(values(w), (std::vector<float>{0, 1, 100, 101, 0, 1}));
  EXPECT_EQ(loaded_, 24);
}

TEST_F(WeightPlanTest, GateAndUpRowsAlternate) {
  const int32_t w =
      plan_.add(residents_, "w", Format::f32, 4, 2, {{"gate", {2, 2}, 0, 2}, {"up", {2, 2}, 1, 2}});
  ASSERT_TRUE(load().ok());
  EXPECT_EQ(values(w), (std::vector<float>{0, 1, 0, 1, 100, 101, 100, 101}));
}

TEST_F(WeightPlanTest, ColumnsOfATensorBecomeRowsOfABuffer) {
  const int32_t w =
      plan_.add(residents_, "w", Format::f32, 4, 2,
                {{.tensor = "a", .shape = {2, 4}, .first_row = 0, .window = Block{0, 2, 0, 2}},
                 {.tensor = "a", .shape = {2, 4}, .first_row = 2, .window = Block{0, 2, 2, 2}}});
  ASSERT_TRUE(load().ok());
  EXPECT_EQ(values(w), (std::vector<float>{0, 1, 100, 101, 2, 3, 102, 103}));
}

TEST_F(WeightPlanTest, AWindowIsReadAloneAndPaddedWithZeros) {
  const int32_t w =
      plan_.add(residents_, "w", Format::f32, 3, 4,
                {{.tensor = "a", .shape = {9, 8}, .first_row = 0, .window = Block{5, 2, 6, 2}},
                 WeightPart::zeros(2, 1)});
  ASSERT_TRUE(load().ok());
  EXPECT_EQ(values(w), (std::vector<float>{506, 507, 0, 0, 606, 607, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(loaded_, 48);
}

TEST_F(WeightPlanTest, AnEmptyWindowLeavesOnlyPads) {
  const int32_t w =
      plan_.add(residents_, "w", Format::f32, 2, 2,
                {{.tensor = "broken", .shape = {4, 2}, .first_row = 0, .window = Block{4, 0, 0, 2}},
                 {.tensor = "broken", .shape = {2, 4}, .first_row = 0, .window = Block{0, 1, 4, 0}},
                 WeightPart::zeros(1, 1)});
  ASSERT_TRUE(load().ok());  // nothing of the tensor is read
  EXPECT_EQ(values(w), (std::vector<float>{0, 0, 0, 0}));
}

TEST_F(WeightPlanTest, PartsOfVectorsLieSideBySide) {
  const int32_t w =
      plan_.add(residents_, "w", Format::f32, 1, 3,
                {{.tensor = "q", .shape = {6}, .first_row = 0, .window = Block{4, 2, 0, 1}},
                 {.tensor = "k", .shape = {2}, .first_row = 2, .window = Block{1, 1, 0, 1}}});
  ASSERT_TRUE(load().ok());
  EXPECT_EQ(values(w), (std::vector<float>{400, 500, 100}));
}

TEST_F(WeightPlanTest, VectorsLieSideBySide) {
  const int32_t w = plan_.add(residents_, "w", Format::f32, 1, 5, {{"q", {3}, 0}, {"k", {2}, 3}});
  ASSERT_TRUE(load().ok());
  EXPECT_EQ(values(w), (std::vector<float>{0, 100, 200, 0, 100}));
}

TEST_F(WeightPlanTest, ValuesAreRoundedToTheBuffersFormat) {
  const int32_t w = plan_.add(residents_, "w", Format::bf16, 4, 1, {{"a", {4, 1}, 0}});
  ASSERT_TRUE(load().ok());
  const auto* data = reinterpret_cast<const bf16*>(residents_.data(w));
  EXPECT_EQ(to_float(data[3]), 300.0f);
  EXPECT_EQ(loaded_, 8);
}

TEST_F(WeightPlanTest, ManyRowsComeInSlabs) {
  const int32_t w = plan_.add(residents_, "w", Format::f32, 3000, 700, {{"a", {3000, 700}, 0}});
  ASSERT_TRUE(load().ok());
  const std::vector<float> got = values(w);
  EXPECT_EQ(got[2999 * 700 + 699], 299900.0f + 699);
  EXPECT_EQ(got[1498 * 700], 149800.0f);
}

TEST_F(WeightPlanTest, ComputedWeightsAreCopied) {
  const int32_t w = plan_.add_computed(residents_, "f", {1.5f, 2.5f});
  ASSERT_TRUE(load().ok());
  EXPECT_EQ(values(w), (std::vector<float>{1.5f, 2.5f}));
  EXPECT_EQ(loaded_, 8);
}

TEST_F(WeightPlanTest, AnErrorOfTheSourceComesOut) {
  plan_.add(residents_, "w", Format::f32, 1, 1, {{"broken", {1, 1}, 0}});
  EXPECT_EQ(load().error().to_string(), "broken (tensor = broken)");
}

TEST_F(WeightPlanTest, PartsMustFillTheBuffer) {
  EXPECT_DEATH(plan_.add(residents_, "w", Format::f32, 3, 2, {{"a", {2, 2}, 0}}),
               "is made of 4 values");
  EXPECT_DEATH(plan_.add(residents_, "w", Format::f32, 2, 1, {{"a", {2, 2}, 0}}), "is wider than");
}

}  // namespace
}  // namespace braid::model

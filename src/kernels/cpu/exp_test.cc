#include "kernels/cpu/exp.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "kernels/cpu/softmax.h"

namespace braid::kernels::cpu {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

TEST(ExpTest, IsWithinOneAndAHalfUnitsInTheLastPlace) {
  double worst = 0;
  for (float x = -87.0f; x < 88.7f; x += 0.00037f) {
    const double exact = std::exp(static_cast<double>(x));
    const double unit = std::ldexp(1.0, std::ilogb(exact) - 23);
    worst = std::max(worst, std::abs(static_cast<double>(exp(x)) - exact) / unit);
  }
  EXPECT_LT(worst, 1.5);
}

TEST(ExpTest, SmallResultsAreSubnormalThenZero) {
  for (float x = -105.0f; x < -87.0f; x += 0.01f) {
    ASSERT_NEAR(exp(x), std::exp(static_cast<double>(x)), 0x1p-148) << x;
  }
  EXPECT_EQ(exp(-105.0f), 0.0f);
  EXPECT_EQ(exp(-1e30f), 0.0f);
  EXPECT_EQ(exp(-kInfinity), 0.0f);
}

TEST(ExpTest, Limits) {
  EXPECT_EQ(exp(0.0f), 1.0f);
  EXPECT_EQ(exp(-0.0f), 1.0f);
  EXPECT_EQ(exp(89.0f), kInfinity);
  EXPECT_EQ(exp(kInfinity), kInfinity);
  EXPECT_LT(exp(88.72f), kInfinity);
  EXPECT_TRUE(std::isnan(exp(std::numeric_limits<float>::quiet_NaN())));
  EXPECT_TRUE(std::isnan(exp(-std::numeric_limits<float>::quiet_NaN())));
}

TEST(ExpTest, SigmoidAndSilu) {
  for (float x = -30.0f; x < 30.0f; x += 0.013f) {
    const double exact = 1.0 / (1.0 + std::exp(-static_cast<double>(x)));
    ASSERT_NEAR(sigmoid(x), exact, 3e-7 * exact) << x;
    ASSERT_NEAR(silu(x), x * exact, 3e-7 * std::abs(x * exact)) << x;
  }
  EXPECT_EQ(sigmoid(-kInfinity), 0.0f);
  EXPECT_EQ(sigmoid(kInfinity), 1.0f);
  EXPECT_EQ(silu(-200.0f), 0.0f);
  EXPECT_EQ(silu(200.0f), 200.0f);
}

TEST(ExpTest, AVectorisedLoopGivesTheSameBitsAsOneCall) {
  std::vector<float> in(1003), out(in.size());
  for (size_t i = 0; i < in.size(); ++i) in[i] = static_cast<float>(i) * 0.19f - 100.0f;
  for (size_t i = 0; i < in.size(); ++i) out[i] = exp(in[i]);
  for (size_t i = 0; i < in.size(); ++i) {
    volatile float x = in[i];
    ASSERT_EQ(out[i], exp(x)) << in[i];
  }
}

TEST(SoftmaxTest, SumsToOneAndIgnoresAShift) {
  for (const int64_t count : {1, 2, 7, 8, 9, 33}) {
    std::vector<float> in(static_cast<size_t>(count)), out(in), shifted(in);
    for (size_t i = 0; i < in.size(); ++i) in[i] = static_cast<float>((i * 37) % 17) * 0.25f;
    softmax(0.5f, count, in.data(), out.data());
    double sum = 0, exact_sum = 0;
    for (const float x : in) exact_sum += std::exp(0.5 * static_cast<double>(x));
    for (size_t i = 0; i < in.size(); ++i) {
      ASSERT_NEAR(out[i], std::exp(0.5 * static_cast<double>(in[i])) / exact_sum, 2e-7);
      sum += static_cast<double>(out[i]);
      shifted[i] = in[i] + 1024.0f;
    }
    EXPECT_NEAR(sum, 1.0, 1e-6);
    softmax(0.5f, count, shifted.data(), shifted.data());  // in place
    EXPECT_EQ(shifted, out);
  }
}

TEST(SoftmaxTest, ExtremeLogits) {
  float values[] = {-kInfinity, 3e38f, -3e38f, 3e38f};
  softmax(1.0f, 4, values, values);
  EXPECT_EQ(values[0], 0.0f);
  EXPECT_EQ(values[1], 0.5f);
  EXPECT_EQ(values[2], 0.0f);
  EXPECT_EQ(values[3], 0.5f);
}

}  // namespace
}  // namespace braid::kernels::cpu

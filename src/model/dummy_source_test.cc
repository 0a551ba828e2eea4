#include "model/dummy_source.h"

#include <cmath>

#include "model/testing.h"

namespace braid::model {
namespace {

std::vector<float> read(const DummySource& source, std::string_view name,
                        const std::vector<int64_t>& shape) {
  std::vector<float> out(static_cast<size_t>(shape[0] * columns_of(shape)));
  EXPECT_TRUE(source.read(name, shape, out).ok());
  return out;
}

TEST(DummySourceTest, WeightsHaveTheStatedDistribution) {
  const auto values = read(DummySource(), "model.layers.0.mlp.up_proj.weight", {200, 500});
  double sum = 0, squares = 0, products = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    sum += values[i];
    squares += values[i] * values[i];
    if (i > 0) products += values[i] * values[i - 1];
    EXPECT_LT(std::abs(values[i]), 0.0347f);
  }
  const double n = static_cast<double>(values.size());
  EXPECT_NEAR(sum / n, 0.0, 3e-4);
  EXPECT_NEAR(std::sqrt(squares / n), 0.02, 2e-4);
  EXPECT_NEAR(products / squares, 0.0, 0.02);  // neighbours don't correlate
}

TEST(DummySourceTest, NormsAndBiases) {
  for (const char* name : {"model.norm.weight", "model.layers.0.input_layernorm.weight",
                           "model.layers.0.self_attn.q_norm.weight"}) {
    EXPECT_EQ(read(DummySource(), name, {8}), std::vector<float>(8, 1.0f)) << name;
  }
  for (const char* name : {"model.layers.0.self_attn.q_proj.bias",
                           "model.layers.1.mlp.gate.e_score_correction_bias"}) {
    const auto values = read(DummySource(), name, {64});
    for (const float value : values) EXPECT_LE(std::abs(value), 0.01f);
    EXPECT_NE(values[0], values[1]);
  }
}

TEST(DummySourceTest, ValuesDependOnNameIndexAndSeedAlone) {
  const DummySource source;
  const auto whole = read(source, "w.weight", {13, 7});
  EXPECT_EQ(whole, read(DummySource(0), "w.weight", {13, 7}));
  EXPECT_EQ(whole, read(source, "w.weight", {91}));
  EXPECT_NE(whole, read(source, "v.weight", {13, 7}));
  EXPECT_NE(whole, read(DummySource(1), "w.weight", {13, 7}));
  std::vector<float> block(2 * 3);
  ASSERT_TRUE(source.read_block("w.weight", std::vector<int64_t>{13, 7}, {5, 2, 1, 3}, block).ok());
  for (size_t i = 0; i < block.size(); ++i) EXPECT_EQ(block[i], whole[(5 + i / 3) * 7 + 1 + i % 3]);
}

TEST(DummySourceTest, ValuesStayTheSameOverVersions) {
  const auto values = read(DummySource(), "w.weight", {6});
  const std::vector<float> expected = {-0.0173094086f, 0.00486557838f,  0.0325388536f,
                                       0.00429154048f, -0.00619125692f, -0.0145861637f};
  EXPECT_EQ(values, expected);
}

TEST(DummySourceTest, HasEverythingAndNoBytes) {
  EXPECT_TRUE(DummySource().has("anything"));
  EXPECT_EQ(DummySource().bytes(), 0);
  EXPECT_EQ(DummySource().bytes("anything"), 0);
}

}  // namespace
}  // namespace braid::model

#include "model/weight_bytes.h"

#include <gtest/gtest.h>

#include "model/model_weights.h"
#include "model/testing.h"

namespace braid::model {
namespace {

ModelConfig config_of(const std::string& golden, const std::string& overrides = {}) {
  return load_config(testing::golden_folder(golden), overrides).value();
}

WeightBytes bytes_of_rank(const ModelConfig& config, const layout::LayoutOptions& options,
                          int32_t rank = 0) {
  const layout::ModelSizes sizes = layout_sizes(config);
  const layout::Layout layout = layout::make_layout(sizes, options).value();
  return weight_bytes(config, Format::f32, layout::Shards(sizes, layout, rank));
}

class WeightBytesTest : public ::testing::TestWithParam<const char*> {};

// Nothing is forgotten: the classes make up all weights but the table of rotary frequencies.
TEST_P(WeightBytesTest, EveryWeightIsInOneClass) {
  const ModelConfig config = config_of(GetParam());
  const layout::ModelSizes sizes = layout_sizes(config);
  int legal = 0;
  for (const layout::LayoutOptions options :
       {layout::LayoutOptions{}, {.tp = 2}, {.tp = 2, .ep = 2}, {.tp = 2, .dp = 2}}) {
    const auto layout = layout::make_layout(sizes, options);
    if (!layout.ok()) continue;
    ++legal;
    const layout::Shards shards(sizes, *layout, 0);
    flow::Residents residents;
    WeightPlan plan;
    const ModelBuffers all =
        plan_weights(config, Format::bf16, shards, true, nullptr, residents, plan);
    EXPECT_EQ(weight_bytes(config, Format::bf16, shards).total(),
              residents.bytes(flow::Lifetime::weight) - residents[all.inverse_frequencies].bytes());
  }
  EXPECT_EQ(legal, config.moe ? 4 : 2);  // without experts neither ep nor dp
}

INSTANTIATE_TEST_SUITE_P(Goldens, WeightBytesTest,
                         ::testing::Values("glm4_moe", "deepseek_v2", "deepseek_v3", "qwen2",
                                           "qwen3_moe", "mixtral"));

// glm4_moe: hidden 128, vocabulary 512; 16 experts of width 64 and a shared one in two layers, a
// dense MLP of width 256 in the first.
TEST(WeightBytesOfGlmTest, ByHand) {
  const WeightBytes one = bytes_of_rank(config_of("glm4_moe"), {});
  EXPECT_EQ(one.vocabulary, (2 * 512 + 1) * 128 * 4);
  EXPECT_EQ(one.experts, 2 * 16 * 3 * 64 * 128 * 4);
  EXPECT_EQ(one.dense, (3 * 256 + 2 * 3 * 64 + 3) * 128 * 4);
  EXPECT_EQ(one.router, 2 * (16 * 128 + 16) * 4);
}

TEST(WeightBytesOfGlmTest, OnRanks) {
  const ModelConfig config = config_of("glm4_moe");
  const WeightBytes one = bytes_of_rank(config, {});
  for (const layout::LayoutOptions options :
       {layout::LayoutOptions{.tp = 4}, {.tp = 4, .ep = 2}, {.tp = 4, .ep = 4}}) {
    const WeightBytes rank = bytes_of_rank(config, options, 3);
    EXPECT_EQ(rank.experts, one.experts / 4);
    EXPECT_EQ(rank.router, one.router);
    EXPECT_EQ(rank.vocabulary, (2 * 128 + 1) * 128 * 4);
    EXPECT_EQ(rank.dense, ((3 * 256 + 2 * 3 * 64) / 4 + 3) * 128 * 4);
  }
  const WeightBytes group = bytes_of_rank(config, {.tp = 1, .dp = 8});
  EXPECT_EQ(group.experts, one.experts / 8);
  EXPECT_EQ(group.attention, one.attention);
  EXPECT_EQ(group.vocabulary, one.vocabulary);
}

TEST(WeightBytesOfGlmTest, PadsCount) {
  const WeightBytes rank =
      bytes_of_rank(config_of("glm4_moe", R"({"vocab_size": 521})"), {.tp = 2});
  EXPECT_EQ(rank.vocabulary, (2 * 272 + 1) * 128 * 4);  // 261 tokens a rank
}

TEST(WeightBytesOfGlmTest, TiedEmbeddingsCountOnce) {
  const WeightBytes tied =
      bytes_of_rank(config_of("qwen2", R"({"tie_word_embeddings": true})"), {});
  EXPECT_EQ(tied.vocabulary, (512 + 1) * 128 * 4);
}

}  // namespace
}  // namespace braid::model

#include "lab/evaluate.h"
#include "ranks/log_likelihood.h"

#include <gtest/gtest.h>

#include <cmath>

#include "model/testing.h"

namespace braid::lab {
namespace {

using model::StorageType;
using model::testing::golden_folder;
using model::testing::view_of;

model::ModelConfig mixtral() { return model::load_config(golden_folder("mixtral")).value(); }

TEST(EvaluateTest, NegativeLogLikelihood) {
  const std::vector<float> even(8, 3.0f);
  EXPECT_NEAR(ranks::negative_log_likelihood(even, 5), std::log(8.0), 1e-15);
  const std::vector<float> logits = {0, 1, 2};
  const double sum = 1 + std::exp(1.0) + std::exp(2.0);
  for (int64_t target = 0; target < 3; ++target) {
    EXPECT_NEAR(ranks::negative_log_likelihood(logits, target),
                std::log(sum) - static_cast<double>(target), 1e-14);
  }
  const std::vector<float> large = {1e30f, -1e30f};  // no overflow
  EXPECT_EQ(ranks::negative_log_likelihood(large, 0), 0);
  EXPECT_GT(ranks::negative_log_likelihood(large, 1), 1e30);
}

TEST(EvaluateTest, PerplexityIsTheExponentialOfTheMean) {
  const Likelihood likelihood{.tokens = 4, .total_nll = 8};
  EXPECT_DOUBLE_EQ(likelihood.mean_nll(), 2);
  EXPECT_DOUBLE_EQ(likelihood.perplexity(), std::exp(2.0));
}

TEST(EvaluateTest, ReadsTheExpertsOfEveryMoeLayer) {
  const auto routing =
      read_forced_routing(golden_folder("mixtral") + "/golden.safetensors", mixtral(), 96);
  ASSERT_TRUE(routing.ok()) << routing.status().to_string();
  ASSERT_EQ(routing->size(), 2u);
  EXPECT_EQ(routing->at(0).size(), 96u * 2);
}

struct BadRouting {
  StorageType type;
  std::vector<int64_t> shape;
  std::vector<int64_t> ids;
  std::string message;
};

TEST(EvaluateTest, RefusesRoutingThatDoesNotFit) {
  const TempFolder folder;
  const std::string path = folder.file("routing.safetensors");
  for (const BadRouting& bad :
       {BadRouting{StorageType::u64, {1, 2}, {0, 1}, "expert ids must be I64"},
        BadRouting{StorageType::i64, {2, 1}, {0, 1}, "expert ids must be I64"},
        BadRouting{StorageType::i64, {1, 2}, {0, 99}, "an expert id is out of range"},
        BadRouting{StorageType::i64, {1, 2}, {-1, 1}, "an expert id is out of range"},
        BadRouting{StorageType::i64, {1, 2}, {3, 3}, "a token names an expert twice"}}) {
    const std::vector tensors = {view_of("experts.0", bad.type, bad.shape, bad.ids)};
    ASSERT_TRUE(model::write_safetensors(path, tensors).ok());
    const auto routing = read_forced_routing(path, mixtral(), 1);
    ASSERT_FALSE(routing.ok()) << bad.message;
    EXPECT_EQ(routing.error().kind(), ErrorKind::corrupt_data);
    EXPECT_EQ(routing.error().message().rfind(bad.message, 0), 0u) << routing.error().message();
  }
  const std::vector<int64_t> ids = {0, 1};
  const std::vector one_layer = {view_of("experts.0", StorageType::i64, {1, 2}, ids)};
  ASSERT_TRUE(model::write_safetensors(path, one_layer).ok());
  const auto routing = read_forced_routing(path, mixtral(), 1);
  ASSERT_FALSE(routing.ok());
  EXPECT_EQ(routing.error().kind(), ErrorKind::not_found);
  EXPECT_NE(routing.status().to_string().find("experts.1"), std::string::npos);
  EXPECT_FALSE(read_forced_routing(folder.file("none"), mixtral(), 1).ok());
}

TEST(EvaluateTest, WritesLogitsAndRouting) {
  const TempFolder folder;
  const Logits logits{.num_tokens = 2,
                      .vocab_size = 3,
                      .values = {1, 2, 3, 4, 5, 6},
                      .routing = {{7, {.experts = {0, 1, 2, 3}, .weights = {.1f, .2f, .3f, .4f}}}}};
  const std::string path = folder.file("out.safetensors");
  ASSERT_TRUE(write_logits(path, logits).ok());
  const auto file = model::SafetensorsFile::open(path);
  ASSERT_TRUE(file.ok());
  ASSERT_EQ(file->tensors().size(), 3u);
  EXPECT_EQ(file->find("logits")->shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(file->find("logits")->type, StorageType::f32);
  EXPECT_EQ(file->find("experts.7")->shape, (std::vector<int64_t>{2, 2}));
  EXPECT_EQ(file->find("experts.7")->type, StorageType::i64);
  EXPECT_EQ(std::memcmp(file->find("expert_weights.7")->read()->data(),
                        logits.routing.at(7).weights.data(), 16),
            0);
  EXPECT_FALSE(write_logits(folder.file("no/such/folder"), logits).ok());
}

}  // namespace
}  // namespace braid::lab

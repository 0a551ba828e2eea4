#include "layout/layout.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace braid::layout {
namespace {

constexpr ModelSizes kGlm = {.num_heads = 96, .num_kv_heads = 8, .num_experts = 128};
constexpr ModelSizes kSmall = {.num_heads = 4, .num_kv_heads = 2, .num_experts = 16};
constexpr ModelSizes kLatent = {.num_heads = 128, .num_kv_heads = 0, .num_experts = 256};
constexpr ModelSizes kDense = {.num_heads = 28, .num_kv_heads = 4};

std::string refusal(const ModelSizes& model, const LayoutOptions& options) {
  const auto layout = make_layout(model, options);
  return layout.ok() ? "legal" : layout.error().to_string();
}

TEST(LayoutTest, OneRankNeedsNoCommunicator) {
  const Layout layout = make_layout(kGlm, {}).value();
  EXPECT_EQ(layout.world, 1);
  EXPECT_TRUE(layout.communicators.empty());
  EXPECT_EQ(layout.moe_sums, (Layout::Sums{-1, -1, -1}));
  EXPECT_EQ(layout.to_string(), "1 rank");
}

TEST(LayoutTest, BothMeshesHaveAllRanks) {
  std::vector<int> legal;
  for (const ModelSizes& model : {kGlm, kSmall, kLatent, kDense}) {
    legal.push_back(0);
    for (int32_t tp = 1; tp <= 16; ++tp) {
      for (int32_t ep = 1; ep <= 16; ++ep) {
        const auto layout = make_layout(model, {tp, ep});
        if (!layout.ok()) continue;
        ++legal.back();
        EXPECT_EQ(layout->attention.sizes[0] * layout->attention.sizes[1], layout->world);
        EXPECT_EQ(layout->moe.sizes[0] * layout->moe.sizes[1], layout->world);
        EXPECT_EQ(layout->communicators.size(), tp > 1 ? 1u : 0u);
      }
    }
  }
  EXPECT_EQ(legal, (std::vector<int>{15, 6, 15, 3}));
}

TEST(LayoutTest, CoordinatesCountAlongTheSecondAxisFirst) {
  const Mesh mesh{{2, 3}};
  EXPECT_EQ(mesh.coordinates(0), (std::array<int32_t, 2>{0, 0}));
  EXPECT_EQ(mesh.coordinates(2), (std::array<int32_t, 2>{0, 2}));
  EXPECT_EQ(mesh.coordinates(5), (std::array<int32_t, 2>{1, 2}));
}

TEST(LayoutTest, SumsOfBothMeshesUseOneCommunicator) {
  const Layout layout = make_layout(kSmall, {4, 2}).value();
  EXPECT_EQ(layout.communicators, (std::vector<RankGroups>{{{{0, 1, 2, 3}}}}));
  EXPECT_EQ(layout.attention_sums, (Layout::Sums{-1, 0, -1}));
  EXPECT_EQ(layout.moe_sums, (Layout::Sums{-1, -1, 0}));
  EXPECT_EQ(make_layout(kSmall, {4, 4})->moe_sums, (Layout::Sums{0, -1, -1}));
  EXPECT_EQ(make_layout(kSmall, {4, 1})->moe_sums, (Layout::Sums{-1, 0, -1}));
  EXPECT_EQ(layout.to_string(), "4 ranks: attention tp 4; experts ep 2 x tp 2");
}

TEST(LayoutTest, KvHeadsAreCopiedWhereThereAreFewerThanRanks) {
  EXPECT_EQ(refusal(kSmall, {4, 1}), "legal");
  EXPECT_EQ(refusal(kGlm, {32, 1}), "legal");
  const std::string text = refusal(kGlm, {12, 1});
  EXPECT_NE(text.find("tp divides the number of KV heads, or is a multiple of it"),
            std::string::npos);
  EXPECT_NE(text.find("The nearest layout is --tp 16 --ep 1."), std::string::npos) << text;
  EXPECT_EQ(refusal(kLatent, {64, 64}), "legal");  // a latent is on every rank
}

TEST(LayoutTest, NamesTheRuleAndTheNearestLayout) {
  EXPECT_EQ(refusal(kSmall, {3, 1}),
            "the model can't be spread over ranks like this (tp = 3, ep = 1, rule = tp divides the "
            "number of attention heads, attention heads = 4, KV heads = 2, experts = 16). The "
            "nearest layout is --tp 4 --ep 1.");
  EXPECT_NE(refusal(kSmall, {8, 1}).find("--tp 4 --ep 1"), std::string::npos);
  EXPECT_NE(refusal(kSmall, {4, 3}).find("ep divides the number of ranks"), std::string::npos);
  EXPECT_NE(refusal(kSmall, {4, 3}).find("--tp 4 --ep 4"), std::string::npos);
  EXPECT_NE(refusal(kSmall, {1, 4}).find("--tp 4 --ep 4"), std::string::npos);  // ep as wanted
  EXPECT_NE(refusal(kDense, {4, 2}).find("ep is 1 for a model without experts"), std::string::npos);
  EXPECT_NE(refusal(kDense, {4, 2}).find("--tp 4 --ep 1"), std::string::npos);
  EXPECT_NE(refusal({.num_heads = 8, .num_experts = 6}, {4, 4}).find("number of experts"),
            std::string::npos);
  EXPECT_NE(refusal(kSmall, {0, 1}).find("at least 1"), std::string::npos);
}

TEST(LayoutTest, TheNearestLayoutIsLegal) {
  for (const ModelSizes& model : {kSmall, kDense, ModelSizes{7, 7, 9}}) {
    for (int32_t tp = 0; tp <= 9; ++tp) {
      for (int32_t ep = 0; ep <= 9; ++ep) {
        const std::string text = refusal(model, {tp, ep});
        if (text == "legal") continue;
        const std::string tail = text.substr(text.find("--tp"));
        LayoutOptions named;
        ASSERT_EQ(std::sscanf(tail.c_str(), "--tp %d --ep %d.", &named.tp, &named.ep), 2) << text;
        EXPECT_EQ(refusal(model, named), "legal") << text;
      }
    }
  }
}

TEST(LayoutTest, GroupsOfRanksWithTheirOwnRequestsShareTheExperts) {
  const Layout layout = make_layout(kSmall, {.tp = 2, .dp = 2}).value();
  EXPECT_EQ(layout.world, 4);
  EXPECT_EQ(layout.attention.sizes, (std::array<int32_t, 2>{2, 2}));
  EXPECT_EQ(layout.moe.sizes, (std::array<int32_t, 2>{4, 1}));  // ep: all ranks
  EXPECT_EQ(layout.communicators,
            (std::vector<RankGroups>{{{{0, 2}, {1, 3}}}, {{{0, 1}, {2, 3}}}}));
  EXPECT_EQ(layout.attention_sums, (Layout::Sums{0, 1, -1}));
  EXPECT_EQ(layout.moe_sums, (Layout::Sums{-1, -1, -1}));
  EXPECT_EQ(layout.to_string(), "4 ranks: attention dp 2 x tp 2; experts ep 4 x tp 1");
}

TEST(LayoutTest, WithoutTpAllRanksAreOneGroup) {
  const Layout layout = make_layout(kSmall, {.ep = 2, .dp = 4}).value();
  EXPECT_EQ(layout.moe.sizes, (std::array<int32_t, 2>{2, 2}));
  EXPECT_EQ(layout.communicators, (std::vector<RankGroups>{{{{0, 1, 2, 3}}}}));
  EXPECT_EQ(layout.attention_sums, (Layout::Sums{0, -1, -1}));
}

TEST(LayoutTest, EveryRankIsInOneGroupOfEachCommunicator) {
  for (const int32_t tp : {1, 2, 4}) {
    for (const int32_t dp : {1, 2, 3, 4}) {
      const auto layout = make_layout(kSmall, {.tp = tp, .ep = 1, .dp = dp});
      ASSERT_TRUE(layout.ok());
      EXPECT_EQ(layout->communicators.size(), size_t{tp > 1} + size_t{dp > 1});
      for (const RankGroups& communicator : layout->communicators) {
        std::vector<int32_t> ranks;
        for (const auto& group : communicator.groups) {
          EXPECT_GT(group.size(), 1u);
          ranks.insert(ranks.end(), group.begin(), group.end());
        }
        std::sort(ranks.begin(), ranks.end());
        for (int32_t rank = 0; rank < layout->world; ++rank) {
          EXPECT_EQ(ranks[static_cast<size_t>(rank)], rank);
        }
        EXPECT_EQ(std::ssize(ranks), layout->world);
      }
    }
  }
}

TEST(LayoutTest, NamesTheRuleAndTheNearestLayoutWithDp) {
  EXPECT_NE(refusal(kDense, {.tp = 2, .dp = 2}).find("dp is 1 for a model without experts"),
            std::string::npos);
  EXPECT_NE(refusal(kDense, {.tp = 2, .dp = 2}).find("--tp 2 --ep 1."), std::string::npos);
  const std::string text = refusal(kSmall, {.tp = 2, .ep = 3, .dp = 2});
  EXPECT_NE(text.find("dp = 2, rule = ep divides the number of ranks, which is dp x tp"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("--tp 2 --ep 4 --dp 2."), std::string::npos) << text;
  EXPECT_NE(refusal(kSmall, {.tp = 2, .dp = 3}).find("ep divides the number of experts"),
            std::string::npos);  // 6 of them, as nothing else is asked for
  EXPECT_NE(refusal(kSmall, {.tp = 1, .dp = 0}).find("at least 1"), std::string::npos);
  EXPECT_EQ(refusal(kSmall, {.tp = 2, .ep = 2, .dp = 3}), "legal");
}

}  // namespace
}  // namespace braid::layout

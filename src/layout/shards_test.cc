#include "layout/shards.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace braid::layout {
namespace {

// Every rank's share of something.
template <typename Get>
std::vector<Share> all(const ModelSizes& model, const LayoutOptions& options, Get get) {
  const Layout layout = make_layout(model, options).value();
  std::vector<Share> shares;
  for (int32_t rank = 0; rank < layout.world; ++rank) {
    shares.push_back(get(Shards(model, layout, rank)));
  }
  return shares;
}

TEST(ShardsTest, WidthsAreCutEvenlyAndPaddedTo16) {
  EXPECT_EQ(width_share(64, 1, 2), (Share{32, 32, 32}));
  EXPECT_EQ(width_share(96, 3, 4), (Share{72, 24, 32}));
  EXPECT_EQ(width_share(100, 0, 3), (Share{0, 34, 48}));
  EXPECT_EQ(width_share(100, 2, 3), (Share{68, 32, 48}));
  EXPECT_EQ(width_share(8, 0, 1), (Share{0, 8, 16}));
  EXPECT_EQ(width_share(2, 3, 4), (Share{2, 0, 16}));  // nothing left for this one
}

TEST(ShardsTest, PartsOfAWidthCoverItOnce) {
  for (int64_t width = 1; width < 200; ++width) {
    for (int32_t ranks = 1; ranks <= 8; ++ranks) {
      int64_t next = 0;
      for (int32_t index = 0; index < ranks; ++index) {
        const Share share = width_share(width, index, ranks);
        ASSERT_EQ(share.first, next);
        ASSERT_GE(share.padded, share.count);
        ASSERT_EQ(share.padded % kWidthMultiple, 0);
        ASSERT_EQ(share.padded, width_share(width, 0, ranks).padded);  // alike on all ranks
        next += share.count;
      }
      ASSERT_EQ(next, width);
    }
  }
}

TEST(ShardsTest, QueryHeadsComeWithTheirKvHeads) {
  for (const auto& [model, layouts] :
       {std::pair{ModelSizes{4, 2, 0}, 3}, {ModelSizes{96, 8, 0}, 9}, {ModelSizes{12, 12, 0}, 6}}) {
    int legal = 0;
    for (int32_t tp = 1; tp <= 96; ++tp) {
      const auto layout = make_layout(model, {.tp = tp});
      if (!layout.ok()) continue;
      ++legal;
      const int64_t queries_of_one = model.num_heads / model.num_kv_heads;
      for (int32_t rank = 0; rank < tp; ++rank) {
        const Shards shards(model, *layout, rank);
        const Share heads = shards.heads(), kv = shards.kv_heads();
        ASSERT_EQ(heads.count % kv.count, 0);
        const int64_t queries_here = heads.count / kv.count;
        for (int64_t head = 0; head < heads.count; ++head) {
          ASSERT_EQ((heads.first + head) / queries_of_one, kv.first + head / queries_here);
        }
      }
    }
    EXPECT_EQ(legal, layouts) << model.num_heads;
  }
}

TEST(ShardsTest, KvHeadsAreCopiedInOrder) {
  const ModelSizes model{.num_heads = 8, .num_kv_heads = 2};
  const auto kv = [](const Shards& shards) { return shards.kv_heads(); };
  EXPECT_EQ(all(model, {.tp = 2}, kv), (std::vector<Share>{{0, 1, 1}, {1, 1, 1}}));
  EXPECT_EQ(all(model, {.tp = 4}, kv),
            (std::vector<Share>{{0, 1, 1}, {0, 1, 1}, {1, 1, 1}, {1, 1, 1}}));
}

TEST(ShardsTest, ExpertsFollowTheMoeMeshAndDenseLayersTheAttentionMesh) {
  const ModelSizes model{.num_heads = 4, .num_kv_heads = 2, .num_experts = 16};
  const LayoutOptions hybrid{.tp = 4, .ep = 2};
  EXPECT_EQ(all(model, hybrid, [](const Shards& s) { return s.experts(); }),
            (std::vector<Share>{{0, 8, 8}, {0, 8, 8}, {8, 8, 8}, {8, 8, 8}}));
  EXPECT_EQ(all(model, hybrid, [](const Shards& s) { return s.expert_width(64); }),
            (std::vector<Share>{{0, 32, 32}, {32, 32, 32}, {0, 32, 32}, {32, 32, 32}}));
  EXPECT_EQ(all(model, hybrid, [](const Shards& s) { return s.mlp_width(256); }),
            (std::vector<Share>{{0, 64, 64}, {64, 64, 64}, {128, 64, 64}, {192, 64, 64}}));
  EXPECT_FALSE(Shards(model, make_layout(model, hybrid).value(), 0).holds_all_experts());
  EXPECT_TRUE(Shards(model, make_layout(model, {.tp = 4}).value(), 0).holds_all_experts());
}

TEST(ShardsTest, TheVocabularyIsCutOverTp) {
  const ModelSizes model{.num_heads = 8, .num_kv_heads = 8, .num_experts = 8};
  const auto ids = [](int64_t size) {
    return [size](const Shards& shards) { return shards.vocabulary(size); };
  };
  EXPECT_EQ(all(model, {}, ids(4099)), (std::vector<Share>{{0, 4099, 4099}}));
  EXPECT_EQ(all(model, {.tp = 2, .ep = 2}, ids(4099)),
            (std::vector<Share>{{0, 2050, 2064}, {2050, 2049, 2064}}));
  EXPECT_EQ(all(model, {.tp = 2, .dp = 2}, ids(64)),  // each group has all of it
            (std::vector<Share>{{0, 32, 32}, {32, 32, 32}, {0, 32, 32}, {32, 32, 32}}));
  EXPECT_EQ(all(model, {.dp = 2}, ids(33)), (std::vector<Share>{{0, 33, 33}, {0, 33, 33}}));
  const std::vector<Share> few = all(model, {.tp = 8}, ids(17));  // 3 each: the last ones have none
  EXPECT_EQ(few[5], (Share{15, 2, 16}));
  EXPECT_EQ(few[7], (Share{17, 0, 16}));
}

TEST(ShardsDeathTest, NoRankBeyondTheWorld) {
  const ModelSizes model{.num_heads = 4, .num_kv_heads = 2};
  EXPECT_DEATH(Shards(model, Layout{}, 1), "rank 1 of 1");
}

// 2 groups of 2 ranks: heads and the shared experts are cut within a group, experts over all.
TEST(ShardsTest, GroupsWithTheirOwnRequestsHoldTheSameHeads) {
  const ModelSizes model{.num_heads = 4, .num_kv_heads = 2, .num_experts = 16};
  const Layout layout = make_layout(model, {.tp = 2, .ep = 2, .dp = 2}).value();
  for (int32_t rank = 0; rank < 4; ++rank) {
    const Shards shards(model, layout, rank);
    EXPECT_EQ(shards.heads(), (Share{rank % 2 * 2, 2, 2}));
    EXPECT_EQ(shards.kv_heads(), (Share{rank % 2, 1, 1}));
    EXPECT_EQ(shards.mlp_width(64), (Share{rank % 2 * 32, 32, 32}));
    EXPECT_EQ(shards.experts(), (Share{rank / 2 * 8, 8, 8}));
    EXPECT_EQ(shards.expert_width(64), (Share{rank % 2 * 32, 32, 32}));
    EXPECT_FALSE(shards.holds_all_experts());
  }
  // Cut in four here, but the shared experts in two.
  const Layout whole = make_layout(model, {.tp = 2, .ep = 1, .dp = 2}).value();
  EXPECT_FALSE(Shards(model, whole, 0).holds_all_experts());
}

}  // namespace
}  // namespace braid::layout

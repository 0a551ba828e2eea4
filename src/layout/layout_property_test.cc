// Legality over many models and options, against what each rank would have to hold.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <numeric>
#include <set>

#include "layout/layout.h"
#include "layout/shards.h"

namespace braid::layout {
namespace {

constexpr ModelSizes kModels[] = {
    {.num_heads = 96, .num_kv_heads = 8, .num_experts = 128},   // GLM-4.5-Air
    {.num_heads = 128, .num_kv_heads = 0, .num_experts = 256},  // DeepSeek-V3
    {.num_heads = 32, .num_kv_heads = 4, .num_experts = 128},   // Qwen3-30B-A3B
    {.num_heads = 32, .num_kv_heads = 8, .num_experts = 8},     // Mixtral 8x7B
    {.num_heads = 28, .num_kv_heads = 4},                       // Qwen2.5-7B
    {.num_heads = 4, .num_kv_heads = 2, .num_experts = 16},
    {.num_heads = 12, .num_kv_heads = 6, .num_experts = 60},
    {.num_heads = 7, .num_kv_heads = 7, .num_experts = 9},
    {.num_heads = 1, .num_kv_heads = 1, .num_experts = 1},
};

// Whether equal parts of the query heads come with KV heads that every rank uses alike.
bool heads_can_be_cut(const ModelSizes& model, int32_t tp) {
  if (model.num_heads % tp != 0) return false;
  if (model.num_kv_heads == 0) return true;  // a latent, on every rank
  const int64_t queries_of_one = model.num_heads / model.num_kv_heads;
  std::set<int64_t> uses;  // how many query heads of a rank use the same KV head
  for (int32_t rank = 0; rank < tp; ++rank) {
    std::vector<int64_t> queries(static_cast<size_t>(model.num_kv_heads));
    for (int64_t q = 0; q < model.num_heads / tp; ++q) {
      ++queries[static_cast<size_t>((rank * (model.num_heads / tp) + q) / queries_of_one)];
    }
    uses.insert(queries.begin(), queries.end());
  }
  uses.erase(0);
  return uses.size() == 1;
}

// Whether each rank can have equally many experts, or an equal part of them.
bool experts_can_be_cut(const ModelSizes& model, int32_t world, int32_t ep) {
  return world % ep == 0 && (model.num_experts == 0 ? ep == 1 : model.num_experts % ep == 0);
}

bool can_be(const ModelSizes& model, const LayoutOptions& options) {
  if (options.tp < 1 || options.ep < 1 || options.dp < 1) return false;
  if (options.dp > 1 && model.num_experts == 0) return false;  // nothing to share
  return heads_can_be_cut(model, options.tp) &&
         experts_can_be_cut(model, options.tp * options.dp, options.ep);
}

double doublings(int32_t a, int32_t b) {
  return std::abs(std::log2(static_cast<double>(std::max(a, 1)) / std::max(b, 1)));
}

double distance(const LayoutOptions& a, const LayoutOptions& b) {
  return doublings(a.tp, b.tp) + doublings(a.ep, b.ep) + doublings(a.dp, b.dp);
}

// The layout that an error names.
LayoutOptions offered(const std::string& text) {
  LayoutOptions named;
  const size_t at = text.find("--tp");
  EXPECT_NE(at, text.npos) << text;
  const int read =
      std::sscanf(text.c_str() + at, "--tp %d --ep %d --dp %d", &named.tp, &named.ep, &named.dp);
  EXPECT_GE(read, 2) << text;
  return named;
}

template <typename Visit>
void for_each_options(const std::vector<int32_t>& sizes, Visit visit) {
  for (const int32_t tp : sizes) {
    for (const int32_t ep : sizes) {
      for (const int32_t dp : sizes) visit(LayoutOptions{tp, ep, dp});
    }
  }
}

const std::vector<int32_t> kSizes = {1, 2, 3, 4, 5, 6, 8, 12, 16};

TEST(LayoutPropertyTest, NoLegalLayoutIsRefusedAndNoIllegalOneTaken) {
  int legal = 0, refused = 0;
  for (const ModelSizes& model : kModels) {
    for_each_options(kSizes, [&](const LayoutOptions& options) {
      const auto layout = make_layout(model, options);
      ASSERT_EQ(layout.ok(), can_be(model, options))
          << model.num_heads << " heads: " << options.tp << " " << options.ep << " " << options.dp;
      ++(layout.ok() ? legal : refused);
    });
  }
  EXPECT_GT(legal, 300);
  EXPECT_GT(refused, 3000);
}

TEST(LayoutPropertyTest, TheLayoutThatAnErrorNamesIsLegalAndNoneIsNearer) {
  for (const ModelSizes& model : kModels) {
    std::vector<LayoutOptions> legal;
    std::vector<int32_t> all(24);
    std::iota(all.begin(), all.end(), 1);
    for_each_options(all, [&](const LayoutOptions& options) {
      if (can_be(model, options)) legal.push_back(options);
    });
    for_each_options({-1, 0, 1, 2, 3, 4, 5, 7, 8, 9}, [&](const LayoutOptions& options) {
      const auto layout = make_layout(model, options);
      if (layout.ok()) return;
      const std::string text = layout.error().to_string();
      EXPECT_NE(text.find("rule = "), text.npos) << text;
      const LayoutOptions named = offered(text);
      ASSERT_TRUE(make_layout(model, named).ok()) << text;
      LayoutOptions wanted = options;
      if (wanted.ep == 0) wanted.ep = wanted.dp > 1 ? wanted.dp * wanted.tp : 1;
      for (const LayoutOptions& other : legal) {
        if (other.dp != 1 && other.dp != wanted.dp) continue;  // groups as wanted, or none
        ASSERT_GE(distance(other, wanted), distance(named, wanted) - 1e-9)
            << text << " " << other.tp << " " << other.ep << " " << other.dp;
      }
    });
  }
}

// Every head, expert, column and token of the vocabulary is on some rank of every group, and pads
// fill the widths to multiples of 16 that are alike on all ranks.
TEST(LayoutPropertyTest, TheRanksOfEveryLegalLayoutHoldEverything) {
  constexpr int64_t kWidth = 1003;
  for (const ModelSizes& model : kModels) {
    int legal = 0;
    for_each_options({1, 2, 3, 4, 8}, [&](const LayoutOptions& options) {
      const auto layout = make_layout(model, options);
      ASSERT_EQ(layout.ok(), can_be(model, options));
      if (!layout.ok()) return;
      ++legal;
      std::vector<int64_t> heads(static_cast<size_t>(model.num_heads));
      int64_t expert_columns = 0, columns = 0, tokens = 0;
      for (int32_t rank = 0; rank < layout->world; ++rank) {
        const Shards shards(model, *layout, rank);
        for (int64_t i = 0; i < shards.heads().count; ++i) {
          ++heads[static_cast<size_t>(shards.heads().first + i)];
        }
        columns += shards.mlp_width(kWidth).count;
        tokens += shards.vocabulary(kWidth).count;
        expert_columns += shards.experts().count * shards.expert_width(kWidth).count;
        for (const auto& [share, ranks] :
             {std::pair{shards.mlp_width(kWidth), layout->attention.sizes[1]},
              {shards.expert_width(kWidth), layout->moe.sizes[1]}}) {
          const int64_t each = (kWidth + ranks - 1) / ranks;
          ASSERT_EQ(share.padded, (each + kWidthMultiple - 1) / kWidthMultiple * kWidthMultiple);
        }
        ASSERT_EQ(shards.vocabulary(kWidth).padded,
                  Shards(model, *layout, 0).vocabulary(kWidth).padded);
      }
      ASSERT_EQ(heads, std::vector<int64_t>(heads.size(), options.dp));
      ASSERT_EQ(columns, options.dp * kWidth);
      ASSERT_EQ(tokens, options.dp * kWidth);
      ASSERT_EQ(expert_columns, model.num_experts * kWidth);
    });
    EXPECT_GT(legal, 1);
  }
}

}  // namespace
}  // namespace braid::layout

#include "start/explain_layout.h"

#include <gtest/gtest.h>

#include "base/options_table.h"
#include "model/testing.h"

namespace braid::start {
namespace {

// The section for a golden; `overrides` are keys of its config.json.
std::string explained(const std::string& golden, const layout::LayoutOptions& wanted,
                      const std::string& overrides = {}, std::vector<const char*> more = {}) {
  const auto config = model::load_config(model::testing::golden_folder(golden), overrides).value();
  model::ModelOptions model{.dtype = Format::bf16};
  model.layout = layout::make_layout(model::layout_sizes(config), wanted).value();
  std::vector<const char*> arguments = {"generate", "model"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  OptionSources sources = process_sources();
  sources.environment = [](const std::string&) { return std::nullopt; };
  return explain_layout(config, model, parse(braid_options(), arguments, sources).value(),
                        "threads of one process");
}

void expect_lines(const std::string& text, std::initializer_list<const char*> lines) {
  for (const char* line : lines) EXPECT_NE(text.find(line), text.npos) << line << "\n" << text;
}

TEST(ExplainLayoutTest, OneRankHasNothingToExplain) {
  EXPECT_EQ(explained("glm4_moe", {}),
            "  one rank on the CPU: every tensor whole, no collectives\n");
}

TEST(ExplainLayoutTest, BothMeshesOfAHybrid) {
  expect_lines(
      explained("glm4_moe", {.tp = 4, .ep = 2}),
      {"  4 ranks: attention tp 4; experts ep 2 x tp 2, threads of one process\n", R"(
    rank  dp  tp  query heads  KV heads  vocabulary  ep  moe tp  experts  columns of each
    0      0   0            0         0       0-127   0       0      0-7             0-31
    1      0   1            1         0     128-255   0       1      0-7            32-63
    2      0   2            2         1     256-383   1       0     8-15             0-31
    3      0   3            3         1     384-511   1       1     8-15            32-63
)",
       "each KV head on 2 ranks",
       "    0: ranks {0 1 2 3}, along tp: sums of attention, MLPs and embedding; gathered logits; "
       "along moe ep and moe tp: sums of the experts\n"});
}

// Hidden size 128 in bfloat16: a row is 256 bytes, of which a ring of 4 sends 2 · 3/4; and of the
// 512 logits, 2048 bytes in float32, 3/4.
TEST(ExplainLayoutTest, WhatARankSendsForAToken) {
  expect_lines(explained("glm4_moe", {.tp = 4}),
               {"  a rank sends for each token of its group: 4.22 kB in a step\n", R"(
                                        collective  ranks  communicator  bytes  times
    embedded rows                       all_reduce      4             0    384      1
    attention                           all_reduce      4             0    384      3
    dense MLP                           all_reduce      4             0    384      1
    MoE layer                           all_reduce      4             0    384      2
    logits, for a token that gets some  all_gather      4             0   1536      1
)"});
}

// 4 groups of 2 ranks: a row, 4 ids and 4 weights go to 3 other groups.
TEST(ExplainLayoutTest, GroupsGatherRowsAndScatterSums) {
  const std::string text = explained("glm4_moe", {.tp = 2, .dp = 4});
  expect_lines(text, {"8 ranks: attention dp 4 x tp 2; experts ep 8 x tp 1",
                      "4 groups with requests of their own",
                      "0: ranks {0 2 4 6} {1 3 5 7}, along dp: rows get to the experts",
                      "1: ranks {0 1} {2 3} {4 5} {6 7}, along tp: sums of attention"});
  const size_t gather = text.find("all_gather_v ");
  EXPECT_NE(text.substr(gather, 60).find(" 864 "), text.npos) << text;  // 3 · (256 + 4 · 8)
  const size_t scatter = text.find("reduce_scatter_v ");
  EXPECT_NE(text.substr(scatter, 60).find(" 768 "), text.npos) << text;  // 3 · 256
}

TEST(ExplainLayoutTest, RowsAreSentWhereEachRankHasRowsAndExpertsOfItsOwn) {
  constexpr std::string_view kSent = "or each row is sent to the ranks of its experts alone";
  EXPECT_NE(explained("glm4_moe", {.dp = 2}).find(kSent), std::string::npos);
  for (const layout::LayoutOptions other :
       {layout::LayoutOptions{.tp = 2, .dp = 2}, {.tp = 1, .ep = 1, .dp = 2}, {.tp = 2}}) {
    EXPECT_EQ(explained("glm4_moe", other).find(kSent), std::string::npos);
  }
}

TEST(ExplainLayoutTest, WeightsByClassAndTheCache) {
  const std::string text = explained("glm4_moe", {.tp = 2, .ep = 2});
  expect_lines(text, {"weights of each rank, alike on all, pads included",
                      // 2 layers · 8 experts · 3 · 64 · 128 · 2 bytes
                      "    routed experts               786 kB\n",
                      "    embedding and head           131 kB\n",
                      // 3 layers · 1 KV head · 2 · 128 · 2 bytes
                      "KV cache of a token: 1.54 kB on each rank of its group\n"});
  expect_lines(explained("deepseek_v2", {.tp = 2}), {"the latent and its cache are on every rank"});
}

TEST(ExplainLayoutTest, PadsAreNamed) {
  EXPECT_EQ(explained("glm4_moe", {.tp = 2}).find("rounded up"), std::string::npos);
  expect_lines(explained("glm4_moe", {.tp = 4}, R"({"vocab_size": 521})"),
               {"widths are rounded up to 16 with zeros: 131 tokens of the vocabulary as 144\n"});
  expect_lines(explained("glm4_moe", {.tp = 4}, R"({"moe_intermediate_size": 40})"),
               {"10 columns of an expert as 16"});
}

TEST(ExplainLayoutTest, DenseModelsHaveNoExperts) {
  const std::string text = explained("qwen2", {.tp = 2});
  EXPECT_EQ(text.find("routed"), text.npos) << text;
  EXPECT_EQ(text.find("why is EP"), text.npos);
  expect_lines(text, {"    rank  dp  tp  query heads  KV heads  vocabulary\n"});
}

// DeepSeek-V2's 160 experts, 6 a token, on two ranks.
TEST(ExplainLayoutTest, WhyExpertParallelismIsSlowerInDecode) {
  const char* sizes =
      R"({"n_routed_experts": 160, "num_experts_per_tok": 6, "n_group": 8, "topk_group": 3})";
  expect_lines(explained("deepseek_v2", {.tp = 2, .ep = 2}, sizes),
               {"why is EP slower than TP in decode?", "the slowest of 2 groups",
                "1.31x at 1, 1.16x at 4, 1.07x at 16, 1.02x at 64 tokens"});
  EXPECT_EQ(explained("deepseek_v2", {.tp = 2}, sizes).find("why is EP"), std::string::npos);
}

TEST(ExplainLayoutTest, EnableDpAttentionIsTranslated) {
  const std::vector<const char*> words = {"--tp", "8", "--dp", "2", "--enable-dp-attention"};
  expect_lines(explained("glm4_moe", {.tp = 4, .dp = 2}, {}, words),
               {"--tp 8 counts the ranks of all 2 groups; without it the same is --tp 4 --dp 2"});
}

}  // namespace
}  // namespace braid::start

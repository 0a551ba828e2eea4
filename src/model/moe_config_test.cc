#include "model/moe_config.h"

#include "model/testing.h"

namespace braid::model {
namespace {

using testing::text_of;

Result<MoeConfig> parse(std::string_view family, const Json& changes = Json::object()) {
  Json json = {{"num_experts", 16},           {"num_experts_per_tok", 4},
               {"moe_intermediate_size", 96}, {"intermediate_size", 768},
               {"norm_topk_prob", true},      {"routed_scaling_factor", 2.5},
               {"n_shared_experts", 2}};
  if (family == "deepseek_v2") {
    json.update({{"norm_topk_prob", false}, {"topk_method", "greedy"}});
  }
  json.update(changes);
  return testing::family(family).experts({json, "config.json"});
}

std::string refusal(std::string_view family, const Json& changes) {
  const auto moe = parse(family, changes);
  return moe.ok() ? "accepted" : moe.error().message();
}

TEST(MoeConfigTest, SigmoidRouters) {
  for (const char* family : {"glm4_moe", "deepseek_v3"}) {
    const MoeConfig moe = *parse(family, {{"n_group", 4}, {"topk_group", 2}});
    EXPECT_EQ(moe.num_experts, 16);
    EXPECT_EQ(moe.top_k, 4);
    EXPECT_EQ(moe.expert_width, 96);
    EXPECT_EQ(moe.num_shared_experts, 2);
    EXPECT_EQ(moe.router.score, RouterScore::sigmoid);
    EXPECT_EQ(moe.router.n_group, 4);
    EXPECT_EQ(moe.router.topk_group, 2);
    EXPECT_EQ(moe.router.group_score, GroupScore::sum_of_top2);
    EXPECT_TRUE(moe.router.correction_bias);
    EXPECT_TRUE(moe.router.normalize);
    EXPECT_EQ(moe.router.scaling_factor, 2.5);
  }
}

TEST(MoeConfigTest, DeepseekV2Routers) {
  const RouterConfig greedy = parse("deepseek_v2", {{"n_group", 8}, {"topk_group", 3}})->router;
  EXPECT_EQ(greedy.n_group, 1);  // greedy ignores the groups
  EXPECT_EQ(greedy.score, RouterScore::softmax);
  EXPECT_FALSE(greedy.correction_bias);
  EXPECT_FALSE(greedy.normalize);
  EXPECT_EQ(greedy.scaling_factor, 2.5);
  const RouterConfig grouped =
      parse("deepseek_v2",
            {{"topk_method", "group_limited_greedy"}, {"n_group", 8}, {"topk_group", 3}})
          ->router;
  EXPECT_EQ(grouped.n_group, 8);
  EXPECT_EQ(grouped.topk_group, 3);
  EXPECT_EQ(grouped.group_score, GroupScore::max);
}

TEST(MoeConfigTest, SoftmaxRouters) {
  const MoeConfig qwen = *parse("qwen3_moe");
  EXPECT_EQ(qwen.router.score, RouterScore::softmax);
  EXPECT_TRUE(qwen.router.normalize);
  EXPECT_EQ(qwen.router.scaling_factor, 1.0);  // no scaling, whatever the key says
  EXPECT_EQ(qwen.num_shared_experts, 0);
  EXPECT_FALSE(parse("qwen3_moe", {{"norm_topk_prob", false}})->router.normalize);
  const MoeConfig mixtral = *parse("mixtral");
  EXPECT_EQ(mixtral.router.score, RouterScore::softmax_over_topk);
  EXPECT_EQ(mixtral.expert_width, 768);  // intermediate_size
  EXPECT_EQ(mixtral.num_shared_experts, 0);
}

TEST(MoeConfigTest, ExpertsUnderAnyName) {
  for (const char* key : {"n_routed_experts", "num_experts", "num_local_experts"}) {
    Json changes = {{"num_experts", nullptr}};
    changes[key] = 32;
    EXPECT_EQ(parse("qwen3_moe", changes)->num_experts, 32);
  }
  EXPECT_EQ(refusal("qwen3_moe", {{"num_local_experts", 8}}),
            "two keys give different numbers of experts");
  EXPECT_EQ(refusal("qwen3_moe", {{"num_experts", nullptr}}), "a key is missing");
}

TEST(MoeConfigTest, RefusesOtherRouting) {
  EXPECT_EQ(
      text_of(parse("deepseek_v2", {{"topk_method", "noaux_tc"}})),
      "braid has no such routing in this architecture (key = topk_method, value = \"noaux_tc\", "
      "in = config.json). Supported for this architecture: greedy, group_limited_greedy.");
  EXPECT_EQ(
      text_of(parse("deepseek_v3", {{"topk_method", "greedy"}})),
      "braid has no such routing in this architecture (key = topk_method, value = \"greedy\", "
      "in = config.json). Supported for this architecture: noaux_tc.");
  EXPECT_EQ(refusal("glm4_moe", {{"scoring_func", "softmax"}}),
            "braid has no such routing in this architecture");
  EXPECT_EQ(refusal("deepseek_v2", {{"scoring_func", "sigmoid"}}),
            "braid has no such routing in this architecture");
  EXPECT_EQ(text_of(parse("deepseek_v2", {{"norm_topk_prob", true}})),
            "braid has no such routing in this architecture (key = norm_topk_prob, value = true, "
            "in = config.json). Supported for this architecture: false.");
  EXPECT_EQ(refusal("qwen3_moe", {{"norm_topk_prob", nullptr}}), "a key is missing");
}

TEST(MoeConfigTest, RefusesChoicesThatCannotBeMade) {
  EXPECT_EQ(
      text_of(parse("glm4_moe", {{"n_group", 4}, {"topk_group", 1}, {"num_experts_per_tok", 5}})),
      "more experts per token than can be chosen (key = num_experts_per_tok, value = 5, "
      "in = config.json, experts in the groups that are kept = 4). Correct config.json, or "
      "pass --json-model-override-args '{\"num_experts_per_tok\": ...}'.");
  EXPECT_EQ(refusal("mixtral", {{"num_experts_per_tok", 17}}),
            "an integer from 1 to 16 was expected");
  EXPECT_EQ(refusal("glm4_moe", {{"n_group", 3}, {"topk_group", 3}}),
            "n_group does not divide the number of experts");
  EXPECT_EQ(refusal("glm4_moe", {{"n_group", 16}, {"topk_group", 8}}),
            "a group needs two experts for its score");
  EXPECT_EQ(refusal("glm4_moe", {{"n_group", 4}, {"topk_group", 5}}),
            "an integer from 1 to 4 was expected");
  EXPECT_EQ(refusal("glm4_moe", {{"n_group", 4}}), "a key is missing");
  EXPECT_EQ(refusal("glm4_moe", {{"routed_scaling_factor", 0}}),
            "a number from 1e-06 to 1000000 was expected");
  EXPECT_EQ(refusal("glm4_moe", {{"num_experts", 1 << 20}}),
            "an integer from 1 to 4096 was expected");
}

std::vector<bool> layers(std::string_view family, const Json& json, int64_t count = 6) {
  return *parse_moe_layers({json, "config.json"}, testing::family(family), count);
}

TEST(MoeConfigTest, LayersAfterTheFirstDenseOnes) {
  for (const char* family : {"glm4_moe", "deepseek_v2", "deepseek_v3"}) {
    EXPECT_EQ(layers(family, {{"first_k_dense_replace", 2}}, 4),
              (std::vector<bool>{false, false, true, true}));
    EXPECT_EQ(layers(family, {{"first_k_dense_replace", 9}}, 2), (std::vector<bool>{false, false}));
  }
  const Json every_second = {{"first_k_dense_replace", 0}, {"moe_layer_freq", 2}};
  EXPECT_FALSE(
      parse_moe_layers({every_second, "config.json"}, testing::family("deepseek_v3"), 4).ok());
}

TEST(MoeConfigTest, LayersByStepAndList) {
  EXPECT_EQ(layers("qwen3_moe", Json::object(), 2), (std::vector<bool>{true, true}));
  EXPECT_EQ(layers("qwen3_moe", {{"decoder_sparse_step", 2}, {"mlp_only_layers", {0, 3, 40}}}),
            (std::vector<bool>{false, true, false, false, false, true}));
  const Json zero = {{"decoder_sparse_step", 0}};
  EXPECT_FALSE(parse_moe_layers({zero, "config.json"}, testing::family("qwen3_moe"), 4).ok());
}

TEST(MoeConfigTest, AllLayersOrNone) {
  EXPECT_EQ(layers("mixtral", Json::object(), 1), std::vector<bool>{true});
  EXPECT_EQ(layers("qwen2", Json::object(), 1), std::vector<bool>{false});
}

}  // namespace
}  // namespace braid::model

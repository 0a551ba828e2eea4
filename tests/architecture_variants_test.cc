// What config.json and a checkpoint may say that no golden says: each variant against a rewritten
// golden whose answer is known.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "model/config.h"
#include "support/checkpoint_copy.h"
#include "support/prompt.h"

namespace braid::testing {
namespace {

constexpr float kGoldenError = 1e-4f;  // absolute, on logits

std::string test_name(const ::testing::TestParamInfo<std::string>& info) { return info.param; }

// Logits of the edited checkpoint on its golden's prompt.
std::vector<float> run(CheckpointCopy& checkpoint, const std::string& golden) {
  return logits_on_golden(checkpoint.write(), golden);
}

std::vector<float> unedited(const std::string& golden) {
  return logits_on_golden(golden_folder(golden), golden);
}

void expect_golden(const std::string& golden, const std::vector<float>& logits) {
  EXPECT_LE(largest_difference(logits, golden_floats(golden, "logits")), kGoldenError) << golden;
}

// The logits of a golden after changes to its config.json alone; null removes a key.
std::vector<float> with_config(const std::string& golden, const Json& changes) {
  CheckpointCopy checkpoint(golden_folder(golden));
  checkpoint.edit_config(changes);
  return run(checkpoint, golden);
}

std::vector<std::string> layers_of(const CheckpointCopy& checkpoint) {
  std::vector<std::string> prefixes;
  const int layers = checkpoint.config()["num_hidden_layers"].get<int>();
  for (int i = 0; i < layers; ++i) prefixes.push_back(fmt::format("model.layers.{}.", i));
  return prefixes;
}

class TiedTest : public ::testing::TestWithParam<std::string> {};

TEST_P(TiedTest, TiedEmbeddingsGiveTheLogitsOfACopiedHead) {
  CheckpointCopy untied(golden_folder(GetParam()));
  untied.copy("model.embed_tokens.weight", "lm_head.weight");
  CheckpointCopy tied(golden_folder(GetParam()));
  tied.erase("lm_head.weight");
  tied.edit_config({{"tie_word_embeddings", true}});
  const std::vector<float> expected = run(untied, GetParam());
  const std::string folder = tied.write();
  EXPECT_TRUE(same_bytes(logits_on_golden(folder, GetParam()), expected));
  EXPECT_GT(largest_difference(expected, unedited(GetParam())), 0.01f);  // the head matters
  // A part of the vocabulary on each of two ranks, in one buffer for both.
  const std::vector<int32_t> prompt = golden_ids(GetParam(), "input_ids");
  start::EngineOptions options = prompt_options(prompt.size());
  options.layout.tp = 2;
  const auto engine = open_engine(folder, options);
  EXPECT_LT(relative_error(logits_of(run_prompt(*engine, prompt)), expected), 1e-5);
}

INSTANTIATE_TEST_SUITE_P(Models, TiedTest, ::testing::Values("qwen2", "mixtral"), test_name);

TEST(RotaryKeysTest, ThetaAtTheTopLevel) {
  for (const char* golden : {"qwen2", "qwen3_moe", "deepseek_v2"}) {
    const Json old_keys = {{"rope_parameters", nullptr}, {"rope_theta", 10000.0}};
    EXPECT_TRUE(same_bytes(with_config(golden, old_keys), unedited(golden))) << golden;
  }
  const Json mixtral = {{"rope_parameters", nullptr}, {"rope_theta", 1e6}};
  expect_golden("mixtral", with_config("mixtral", mixtral));
  const Json wrong = {{"rope_parameters", nullptr}, {"rope_theta", 10000.0}};
  const std::vector<float> logits = with_config("mixtral", wrong);
  EXPECT_GT(largest_difference(logits, golden_floats("mixtral", "logits")), kGoldenError);
}

TEST(RotaryKeysTest, PartialFactorAtTheTopLevel) {
  const Json keys = {
      {"rope_parameters", nullptr}, {"rope_theta", 10000.0}, {"partial_rotary_factor", 0.5}};
  expect_golden("glm4_moe", with_config("glm4_moe", keys));
}

TEST(RotaryKeysTest, YarnInRopeScaling) {
  const Json scaling = {{"type", "yarn"},
                        {"factor", 40},
                        {"beta_fast", 32},
                        {"beta_slow", 1},
                        {"mscale", 1.0},
                        {"mscale_all_dim", 1.0},
                        {"original_max_position_embeddings", 64}};
  Json keys = {{"rope_parameters", nullptr}, {"rope_theta", 10000}, {"rope_scaling", scaling}};
  expect_golden("deepseek_v3", with_config("deepseek_v3", keys));
  keys["rope_scaling"]["factor"] = 4;
  const std::vector<float> logits = with_config("deepseek_v3", keys);
  EXPECT_GT(largest_difference(logits, golden_floats("deepseek_v3", "logits")), kGoldenError);
}

class ExtraLayersTest : public ::testing::TestWithParam<std::string> {};

// Multi-token-prediction heads stand behind the last layer; nothing of them may be read.
TEST_P(ExtraLayersTest, TensorsOfLaterLayersAreSkipped) {
  CheckpointCopy checkpoint(golden_folder(GetParam()));
  const auto prefix = fmt::format("model.layers.{}.", layers_of(checkpoint).size());
  const std::vector<float> garbage(6, std::numeric_limits<float>::quiet_NaN());
  for (const char* name :
       {"input_layernorm.weight", "self_attn.q_proj.weight", "self_attn.q_a_proj.weight",
        "mlp.gate.weight", "mlp.experts.0.down_proj.weight", "eh_proj.weight", "enorm.weight",
        "embed_tokens.weight", "shared_head.head.weight"}) {
    checkpoint.set(prefix + name, {2, 3}, garbage);
  }
  EXPECT_TRUE(same_bytes(run(checkpoint, GetParam()), unedited(GetParam())));
}

INSTANTIATE_TEST_SUITE_P(Models, ExtraLayersTest,
                         ::testing::Values("glm4_moe", "deepseek_v3", "mixtral"), test_name);

TEST(ExpertGroupsTest, GreedyIsGroupLimitedWithAllGroups) {
  const Json greedy = {{"topk_method", "greedy"}};
  const Json all_groups = {{"topk_method", "group_limited_greedy"}, {"topk_group", 4}};
  const std::vector<float> got = with_config("deepseek_v2", greedy);
  EXPECT_TRUE(same_bytes(got, with_config("deepseek_v2", all_groups)));
  EXPECT_FALSE(same_bytes(got, unedited("deepseek_v2")));  // there two of four groups are dropped
}

// qwen3_moe with one expert a token, `moe_layers` of the layers routed to expert 0 alone: the
// router's scores are all equal, ties go to expert 0, and its normalised weight is 1.
class OneExpert {
 public:
  explicit OneExpert(std::vector<int> layers) : layers_(std::move(layers)) {}

  std::vector<float> as_experts() const {
    CheckpointCopy checkpoint(golden_folder("qwen3_moe"));
    shrink(checkpoint);
    for (const int layer : layers_) checkpoint.fill(mlp(layer) + "gate.weight", 0.0f);
    return run(checkpoint, "qwen3_moe");
  }

  // The same layers as dense ones with expert 0's weights; the experts are gone.
  std::vector<float> as_dense(const Json& changes) const {
    CheckpointCopy checkpoint(golden_folder("qwen3_moe"));
    shrink(checkpoint);
    checkpoint.edit_config(changes);
    for (const int layer : layers_) {
      for (const char* name : {"gate_proj.weight", "up_proj.weight", "down_proj.weight"}) {
        checkpoint.move(mlp(layer) + "experts.0." + name, mlp(layer) + name);
      }
      checkpoint.erase(mlp(layer) + "experts.");
      checkpoint.erase(mlp(layer) + "gate.weight");
    }
    return run(checkpoint, "qwen3_moe");
  }

 private:
  static std::string mlp(int layer) { return fmt::format("model.layers.{}.mlp.", layer); }
  static void shrink(CheckpointCopy& checkpoint) {
    checkpoint.edit_config({{"num_experts_per_tok", 1},
                            {"intermediate_size", checkpoint.config()["moe_intermediate_size"]}});
  }

  std::vector<int> layers_;
};

TEST(DenseLayersTest, MlpOnlyLayers) {
  const OneExpert first({0});
  EXPECT_TRUE(same_bytes(first.as_dense({{"mlp_only_layers", {0}}}), first.as_experts()));
  const OneExpert second({1});
  EXPECT_TRUE(same_bytes(second.as_dense({{"mlp_only_layers", {1}}}), second.as_experts()));
  const OneExpert both({0, 1});
  EXPECT_TRUE(same_bytes(both.as_dense({{"mlp_only_layers", {1, 0}}}), both.as_experts()));
  EXPECT_FALSE(same_bytes(first.as_experts(), second.as_experts()));
}

TEST(DenseLayersTest, DecoderSparseStep) {
  const OneExpert first({0});  // of two layers every second one has experts
  EXPECT_TRUE(same_bytes(first.as_dense({{"decoder_sparse_step", 2}}), first.as_experts()));
  const OneExpert both({0, 1});
  EXPECT_TRUE(same_bytes(both.as_dense({{"decoder_sparse_step", 3}}), both.as_experts()));
}

// Queries and keys that are ±1 in every element: their RMS is 1.
void make_unit_queries_and_keys(CheckpointCopy& checkpoint) {
  checkpoint.config()["rms_norm_eps"] = 1e-12;
  for (const std::string& layer : layers_of(checkpoint)) {
    for (const std::string name : {"q", "k"}) {
      const std::string at = layer + "self_attn." + name;
      checkpoint.fill(at + "_proj.weight", 0.0f);
      std::vector<float> bias = checkpoint.floats(at + "_proj.bias");
      for (float& value : bias) value = std::copysign(1.0f, value);
      checkpoint.set(at + "_proj.bias", checkpoint.shape(at + "_proj.bias"), bias);
      checkpoint.fill(at + "_norm.weight", 1.0f);
    }
  }
}

void drop_qk_norm(CheckpointCopy& checkpoint) {
  checkpoint.config()["use_qk_norm"] = false;
  for (const std::string& layer : layers_of(checkpoint)) {
    checkpoint.erase(layer + "self_attn.q_norm.");
    checkpoint.erase(layer + "self_attn.k_norm.");
  }
}

TEST(QkNormTest, WithoutItUnitQueriesAndKeysStayAsTheyAre) {
  CheckpointCopy with_norm(golden_folder("glm4_moe"));
  make_unit_queries_and_keys(with_norm);
  CheckpointCopy without(golden_folder("glm4_moe"));
  make_unit_queries_and_keys(without);
  drop_qk_norm(without);
  EXPECT_LE(largest_difference(run(with_norm, "glm4_moe"), run(without, "glm4_moe")), 1e-4f);
}

TEST(QkNormTest, WithoutItRealQueriesAndKeysDiffer) {
  CheckpointCopy without(golden_folder("glm4_moe"));
  drop_qk_norm(without);
  EXPECT_GT(largest_difference(run(without, "glm4_moe"), unedited("glm4_moe")), 0.01f);
}

TEST(ConfigKeysTest, NumberOfExpertsUnderItsOtherName) {
  const Json published = {{"num_local_experts", nullptr}, {"num_experts", 16}};
  expect_golden("qwen3_moe", with_config("qwen3_moe", published));
  const Json both = {{"num_experts", 16}};
  expect_golden("qwen3_moe", with_config("qwen3_moe", both));
}

TEST(ConfigKeysTest, LatentAttentionIgnoresHeadDim) {
  for (const char* golden : {"deepseek_v2", "deepseek_v3"}) {
    const std::vector<float> expected = unedited(golden);
    for (const Json& head_dim : {Json(nullptr), Json(192), Json(7)}) {
      EXPECT_TRUE(same_bytes(with_config(golden, {{"head_dim", head_dim}}), expected))
          << golden << " head_dim " << head_dim.dump();
    }
  }
}

TEST(ConfigKeysTest, HeadDimOfGroupedAttentionMayBeLeftOut) {
  // 128 hidden values over 4 heads are 32 a head: not these weights' 64.
  const auto config = model::load_config(golden_folder("qwen2"), R"({"head_dim": null})");
  ASSERT_TRUE(config.ok()) << config.status().to_string();
  EXPECT_EQ(std::get<model::GqaConfig>(config->attention_of(0)).head_dim, 32);
}

std::string refusal(const std::string& golden, const std::string& override_json) {
  const auto config = model::load_config(golden_folder(golden), override_json);
  return config.ok() ? "accepted" : config.error().to_string();
}

TEST(SlidingWindowTest, OneInUseIsRefusedByName) {
  for (const std::string& error :
       {refusal("mixtral", R"({"sliding_window": 64})"),
        refusal("qwen3_moe", R"({"sliding_window": 64, "use_sliding_window": true})"),
        refusal("qwen2", R"({"sliding_window": 64, "use_sliding_window": true,
                             "layer_types": ["full_attention", "sliding_attention"]})")}) {
    EXPECT_NE(error.find("sliding_window"), std::string::npos) << error;
    EXPECT_NE(error.find("64"), std::string::npos) << error;
  }
}

TEST(SlidingWindowTest, OneThatIsNotInUseChangesNothing) {
  expect_golden("mixtral", with_config("mixtral", {{"sliding_window", 4096}}));
  expect_golden("qwen2", with_config("qwen2", {{"sliding_window", 64}}));
  expect_golden("qwen2", with_config("qwen2", {{"sliding_window", 64},
                                               {"use_sliding_window", true},
                                               {"layer_types", nullptr},
                                               {"max_window_layers", 3}}));
}

}  // namespace
}  // namespace braid::testing

#include "model/attention_config.h"

#include <cmath>

#include "model/testing.h"

namespace braid::model {
namespace {

using testing::text_of;

Result<AttentionParts> parse(std::string_view family, const Json& changes) {
  Json json = {{"num_attention_heads", 8}, {"num_key_value_heads", 2}, {"head_dim", 64},
               {"rope_theta", 10000.0},    {"kv_lora_rank", 512},      {"qk_nope_head_dim", 128},
               {"qk_rope_head_dim", 64},   {"v_head_dim", 96}};
  json.update(changes);
  return parse_attention({json, "config.json"}, testing::family(family), {1024, 4, 32768});
}

GqaConfig gqa(std::string_view family, const Json& changes = Json::object()) {
  return std::get<GqaConfig>(parse(family, changes)->layers[0].kind);
}

std::string refusal(std::string_view family, const Json& changes) {
  const auto parts = parse(family, changes);
  return parts.ok() ? "accepted" : parts.error().message();
}

TEST(AttentionConfigTest, GroupedQuery) {
  const AttentionParts parts = *parse("mixtral", Json::object());
  const GqaConfig heads = std::get<GqaConfig>(parts.layers[0].kind);
  EXPECT_EQ(heads.num_heads, 8);
  EXPECT_EQ(heads.num_kv_heads, 2);
  EXPECT_EQ(heads.head_dim, 64);
  EXPECT_EQ(parts.softmax_scale, 0.125);
  EXPECT_EQ(parts.rotary.dim, 64);
  EXPECT_FALSE(parts.rotary.interleaved);
}

TEST(AttentionConfigTest, HeadsHaveDefaults) {
  EXPECT_EQ(gqa("qwen2", {{"head_dim", nullptr}}).head_dim, 128);
  EXPECT_EQ(gqa("qwen2", {{"num_key_value_heads", nullptr}}).num_kv_heads, 8);
  EXPECT_EQ(parse("glm4_moe", Json::object())->rotary.dim, 32);  // half rotates
}

TEST(AttentionConfigTest, BiasAndNormOfEachArchitecture) {
  EXPECT_FALSE(gqa("mixtral").qkv_bias);
  EXPECT_FALSE(gqa("mixtral").qk_norm);
  EXPECT_TRUE(gqa("qwen2").qkv_bias);
  EXPECT_FALSE(gqa("qwen2").qk_norm);
  EXPECT_FALSE(gqa("qwen3_moe").qkv_bias);
  EXPECT_TRUE(gqa("qwen3_moe").qk_norm);
  EXPECT_FALSE(gqa("glm4_moe").qkv_bias);
  EXPECT_FALSE(gqa("glm4_moe").qk_norm);
  EXPECT_TRUE(gqa("glm4_moe", {{"attention_bias", true}}).qkv_bias);
  EXPECT_TRUE(gqa("glm4_moe", {{"use_qk_norm", true}}).qk_norm);
  EXPECT_EQ(refusal("qwen3_moe", {{"attention_bias", true}}),
            "braid has no bias in the attention of this architecture");
  EXPECT_EQ(refusal("deepseek_v3", {{"attention_bias", true}}),
            "braid has no bias in the attention of this architecture");
}

TEST(AttentionConfigTest, Latent) {
  const AttentionParts parts = *parse("deepseek_v3", {{"q_lora_rank", 1536}});
  const MlaConfig mla = std::get<MlaConfig>(parts.layers[0].kind);
  EXPECT_EQ(mla.num_heads, 8);
  EXPECT_EQ(mla.q_lora_rank, 1536);
  EXPECT_EQ(mla.kv_lora_rank, 512);
  EXPECT_EQ(mla.qk_nope_head_dim, 128);
  EXPECT_EQ(mla.qk_rope_head_dim, 64);
  EXPECT_EQ(mla.v_head_dim, 96);
  EXPECT_EQ(parts.rotary.dim, 64);
  EXPECT_TRUE(parts.rotary.interleaved);
  EXPECT_NEAR(parts.softmax_scale, 1 / std::sqrt(192.0), 1e-15);
}

TEST(AttentionConfigTest, LatentWithoutQueryRank) {
  const AttentionParts parts =
      *parse("deepseek_v2", {{"q_lora_rank", nullptr}, {"rope_interleave", false}});
  EXPECT_EQ(std::get<MlaConfig>(parts.layers[0].kind).q_lora_rank, 0);
  EXPECT_FALSE(parts.rotary.interleaved);
}

TEST(AttentionConfigTest, YarnScalesTheSoftmaxOfLatentAttentionOnly) {
  const Json yarn = {
      {"rope_scaling",
       {{"type", "yarn"}, {"factor", 40.0}, {"mscale", 1.0}, {"mscale_all_dim", 1.0}}}};
  EXPECT_NEAR(parse("deepseek_v3", yarn)->softmax_scale, 0.1352337788608801, 1e-15);
  EXPECT_EQ(parse("qwen2", yarn)->softmax_scale, 0.125);
}

TEST(AttentionConfigTest, RefusesImpossibleHeads) {
  EXPECT_EQ(text_of(parse("mixtral", {{"num_key_value_heads", 3}})),
            "num_key_value_heads does not divide num_attention_heads (key = "
            "num_key_value_heads, value = 3, in = config.json, num_attention_heads = 8). "
            "Correct config.json, or pass --json-model-override-args "
            "'{\"num_key_value_heads\": ...}'.");
  EXPECT_EQ(refusal("mixtral", {{"head_dim", nullptr}, {"num_attention_heads", 6}}),
            "hidden_size is no multiple of num_attention_heads");
  EXPECT_EQ(refusal("mixtral", {{"num_attention_heads", 0}}),
            "an integer from 1 to 1024 was expected");
  EXPECT_EQ(refusal("deepseek_v3", {{"qk_rope_head_dim", 63}}),
            "the dimensions that rotate must be even");
  EXPECT_EQ(refusal("deepseek_v3", {{"kv_lora_rank", nullptr}}), "a key is missing");
}

constexpr std::string_view kWindow = "braid has no attention in a sliding window";

TEST(AttentionConfigTest, RefusesASlidingWindowInUse) {
  EXPECT_EQ(text_of(parse("mixtral", {{"sliding_window", 4096}})),
            std::string(kWindow) +
                " (key = sliding_window, value = 4096, in = config.json, "
                "max_position_embeddings = 32768). Pass --json-model-override-args "
                "'{\"max_position_embeddings\": 4096}' to serve contexts that fit into the "
                "window.");
  const Json used = {{"sliding_window", 4096}, {"use_sliding_window", true}};
  EXPECT_EQ(refusal("qwen2", used), kWindow);
  EXPECT_EQ(refusal("qwen3_moe", used), kWindow);
  Json layers = used;
  layers["layer_types"] = {"full_attention", "sliding_attention"};
  EXPECT_EQ(refusal("qwen3_moe", layers), kWindow);
}

TEST(AttentionConfigTest, AcceptsASlidingWindowNotInUse) {
  EXPECT_EQ(refusal("mixtral", {{"sliding_window", nullptr}}), "accepted");
  EXPECT_EQ(refusal("mixtral", {{"sliding_window", 32768}}), "accepted");
  EXPECT_EQ(refusal("qwen2", {{"sliding_window", 4096}}), "accepted");
  Json used = {{"sliding_window", 4096}, {"use_sliding_window", true}, {"max_window_layers", 4}};
  EXPECT_EQ(refusal("qwen2", used), "accepted");  // the first layer that would is 4
  used["max_window_layers"] = 3;
  EXPECT_EQ(refusal("qwen2", used), kWindow);
  used["layer_types"] = Json::array({"full_attention", "full_attention"});
  EXPECT_EQ(refusal("qwen2", used), "accepted");
}

}  // namespace
}  // namespace braid::model

#include "model/unread_tensors.h"

#include <filesystem>

#include "model/testing.h"

namespace braid::model {
namespace {

std::vector<Note> notes_of(const std::string& folder, std::string_view override_json = {}) {
  const auto config = load_config(folder, override_json);
  EXPECT_TRUE(config.ok()) << testing::text_of(config);
  const auto checkpoint = Checkpoint::open(folder);
  EXPECT_TRUE(checkpoint.ok()) << testing::text_of(checkpoint);
  return unread_tensors(*checkpoint, *config);
}

std::vector<Note> of_golden(std::string_view name, std::string_view override_json = {}) {
  return notes_of(testing::golden_folder(name), override_json);
}

TEST(UnreadTensorsTest, GoldensAreReadWhole) {
  for (const char* name : {"glm4_moe", "deepseek_v2", "deepseek_v3", "qwen3_moe", "qwen2",
                           "mixtral", "glm4_moe_fp8_block", "deepseek_v3_fp8_block",
                           "mixtral_fp8_tensor", "qwen3_moe_fp8_channel", "glm4_moe_nvfp4"}) {
    EXPECT_EQ(of_golden(name), std::vector<Note>{}) << name;
  }
  EXPECT_EQ(notes_of(testing::source_path("models/fairytale-moe")), std::vector<Note>{});
}

TEST(UnreadTensorsTest, WhatConfigJsonDoesNotAnnounce) {
  const auto unannounced = [](int count, const std::string& kinds) {
    return std::vector<Note>{
        {true, fmt::format("config.json does not announce {} tensors of the checkpoint, which are "
                           "not read: {}",
                           count, kinds)}};
  };
  EXPECT_EQ(of_golden("glm4_moe", R"({"attention_bias": false})"),
            unannounced(9,
                        "model.layers.*.self_attn.k_proj.bias (3), "
                        "model.layers.*.self_attn.q_proj.bias (3), "
                        "model.layers.*.self_attn.v_proj.bias (3)"));
  EXPECT_EQ(of_golden("glm4_moe", R"({"use_qk_norm": null})"),
            unannounced(6,
                        "model.layers.*.self_attn.k_norm.weight (3), "
                        "model.layers.*.self_attn.q_norm.weight (3)"));
  EXPECT_EQ(of_golden("glm4_moe", R"({"n_shared_experts": 0})"),
            unannounced(6,
                        "model.layers.*.mlp.shared_experts.down_proj.weight (2), "
                        "model.layers.*.mlp.shared_experts.gate_proj.weight (2), "
                        "model.layers.*.mlp.shared_experts.up_proj.weight (2)"));
  EXPECT_EQ(of_golden("mixtral", R"({"num_local_experts": 6})"),
            unannounced(12,
                        "model.layers.*.block_sparse_moe.experts.*.w1.weight (4), "
                        "model.layers.*.block_sparse_moe.experts.*.w2.weight (4), "
                        "model.layers.*.block_sparse_moe.experts.*.w3.weight (4)"));
}

TEST(UnreadTensorsTest, LayersBehindTheLast) {
  const std::vector<Note> notes = of_golden("qwen2", R"({"num_hidden_layers": 2})");
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_TRUE(notes[0].warning);
  EXPECT_EQ(notes[0].text,
            "the checkpoint has 12 tensors of layers up to 2, but num_hidden_layers is 2: they are "
            "not read");
}

// A copy of a golden with more tensors, in a second shard.
std::vector<Note> with_more(const std::string& golden, const std::vector<std::string>& names,
                            std::string_view override_json = {}) {
  const TempFolder folder;
  const auto checkpoint = Checkpoint::open(testing::golden_folder(golden));
  const std::vector<StoredTensor>& stored = checkpoint->files().front().tensors();
  std::vector<std::vector<std::byte>> bytes;
  std::vector<TensorView> tensors;
  for (const StoredTensor& tensor : stored) {
    bytes.push_back(tensor.read().value());
    tensors.push_back({tensor.name, tensor.type, tensor.shape, bytes.back()});
  }
  const std::vector<float> one = {1.0f};
  for (const std::string& name : names) {
    tensors.push_back(testing::view_of(name, StorageType::f32, {1}, one));
  }
  EXPECT_TRUE(write_safetensors(folder.file("model.safetensors"), tensors).ok());
  folder.write("config.json", *read_file(testing::golden_folder(golden) + "/config.json"));
  return notes_of(folder.path(), override_json);
}

TEST(UnreadTensorsTest, LayersThatPredictFurtherTokensAreARemark) {
  const std::vector<Note> notes =
      with_more("qwen2", {"model.layers.3.eh_proj.weight", "model.layers.3.mlp.up_proj.weight"});
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_FALSE(notes[0].warning);
  EXPECT_EQ(notes[0].text,
            "the checkpoint has 2 tensors of 1 layers that predict further tokens: braid does not "
            "run these layers");
}

TEST(UnreadTensorsTest, ScalesOfCachesAreHarmless) {
  EXPECT_EQ(with_more("qwen2", {"model.layers.0.self_attn.k_scale",
                                "model.layers.0.self_attn.rotary_emb.inv_freq",
                                "model.layers.0.mlp.up_proj.input_scale"}),
            std::vector<Note>{});
  EXPECT_EQ(with_more("qwen2", {"model.visual.0.weight"}).size(), 1u);
}

TEST(UnreadTensorsTest, AnotherHeadThanTheTiedOne) {
  const std::vector<Note> notes = of_golden("qwen2", R"({"tie_word_embeddings": true})");
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_EQ(notes[0].text,
            "the checkpoint has an lm_head.weight that is not its embedding, but "
            "tie_word_embeddings is true: it is not read");
}

}  // namespace
}  // namespace braid::model

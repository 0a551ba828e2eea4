#include "model/checkpoint.h"

#include "model/testing.h"

namespace braid::model {
namespace {

using testing::text_of;

const std::vector<float> kValues = {1.0f, 2.0f};

void write_shard(const TempFolder& folder, std::string_view file,
                 const std::vector<std::string>& names) {
  std::vector<TensorView> tensors;
  for (const std::string& name : names) {
    tensors.push_back(testing::view_of(name, StorageType::f32, {2}, kValues));
  }
  ASSERT_TRUE(write_safetensors(folder.file(file), tensors).ok());
}

void write_index(const TempFolder& folder, const Json& weight_map) {
  folder.write("model.safetensors.index.json", Json{{"weight_map", weight_map}}.dump());
}

TEST(CheckpointTest, OneFile) {
  const auto checkpoint = Checkpoint::open(testing::golden_folder("glm4_moe"));
  ASSERT_TRUE(checkpoint.ok()) << text_of(checkpoint);
  const StoredTensor* norm = *checkpoint->find("model.norm.weight");
  EXPECT_EQ(norm->shape, (std::vector<int64_t>{128}));
  EXPECT_TRUE(checkpoint->has("lm_head.weight"));
  EXPECT_FALSE(checkpoint->has("lm_head"));
}

TEST(CheckpointTest, Shards) {
  for (const std::string& folder :
       {testing::golden_folder("qwen3_moe"), testing::source_path("models/fairytale-moe")}) {
    const auto checkpoint = Checkpoint::open(folder);
    ASSERT_TRUE(checkpoint.ok()) << text_of(checkpoint);
    const Json index = *read_json_file(folder + "/model.safetensors.index.json");
    for (const auto& [name, shard] : index["weight_map"].items()) {
      EXPECT_EQ((*checkpoint->find(name))->name, name);
    }
    EXPECT_EQ(checkpoint->bytes(), index["metadata"]["total_size"].get<int64_t>());
  }
}

TEST(CheckpointTest, TensorsSurviveAMove) {
  auto opened = *Checkpoint::open(testing::golden_folder("qwen3_moe"));
  const StoredTensor* before = *opened.find("model.norm.weight");
  const Checkpoint moved = std::move(opened);
  EXPECT_EQ(*moved.find("model.norm.weight"), before);
  EXPECT_TRUE(before->read().ok());
}

TEST(CheckpointTest, MissingTensorNamesItAndTheFolder) {
  const std::string folder = testing::golden_folder("qwen2");
  EXPECT_EQ(text_of(Checkpoint::open(folder)->find("model.layers.9.mlp.gate_proj.weight")),
            "the checkpoint lacks a tensor (tensor = model.layers.9.mlp.gate_proj.weight, "
            "folder = " +
                folder +
                "). The weights do not belong to this config.json, or the download is "
                "incomplete.");
}

TEST(CheckpointTest, AModelThatIsNoFolder) {
  const std::string remedy = "Pass the folder that holds config.json and the .safetensors files.";
  EXPECT_EQ(text_of(Checkpoint::open("zai-org/GLM-4.5-Air")),
            "there is no such model folder (model = zai-org/GLM-4.5-Air). Download it with: "
            "huggingface-cli download zai-org/GLM-4.5-Air --local-dir zai-org/GLM-4.5-Air");
  EXPECT_EQ(text_of(check_model_folder("/no/model")),
            "there is no such model folder (model = /no/model). " + remedy);
  EXPECT_EQ(check_model_folder("a/b/c").error().remedy(), remedy);
  EXPECT_EQ(check_model_folder("./model").error().remedy(), remedy);
  EXPECT_EQ(check_model_folder("a;b").error().remedy(), remedy);
  EXPECT_EQ(check_model_folder("").error().remedy(), remedy);
  EXPECT_EQ(check_model_folder("--help").error().remedy(), remedy);
  const std::string file = testing::golden_folder("qwen2") + "/config.json";
  EXPECT_EQ(text_of(check_model_folder(file)),
            "the model is a file, a folder was expected (model = " + file + "). " + remedy);
}

TEST(CheckpointTest, NoWeights) {
  const TempFolder folder;
  EXPECT_EQ(text_of(Checkpoint::open(folder.path())),
            "the folder has no weights (folder = " + folder.path() +
                "). Expected model.safetensors or model.safetensors.index.json; other weight "
                "formats are not read.");
}

TEST(CheckpointTest, MissingShard) {
  const TempFolder folder;
  write_shard(folder, "a.safetensors", {"x"});
  write_index(folder, {{"x", "a.safetensors"}, {"y", "b.safetensors"}});
  EXPECT_EQ(text_of(Checkpoint::open(folder.path())),
            "a shard that the index names is missing (shard = b.safetensors, folder = " +
                folder.path() + "). Download the model again; finished files are kept.");
}

TEST(CheckpointTest, TruncatedShard) {
  const TempFolder folder;
  write_shard(folder, "a.safetensors", {"x", "y"});
  write_index(folder, {{"x", "a.safetensors"}, {"y", "a.safetensors"}});
  const std::string path = folder.file("a.safetensors");
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 1);
  EXPECT_EQ(text_of(Checkpoint::open(folder.path())),
            "a tensor ends behind the file's end (file = " + path +
                ", tensor = y, end = 16, data bytes = 15). Download the file again.");
}

TEST(CheckpointTest, TensorThatIsNotWhereTheIndexSays) {
  const TempFolder folder;
  write_shard(folder, "a.safetensors", {"x"});
  write_shard(folder, "b.safetensors", {"y"});
  const std::string remedy =
      "). Index and shards are of different versions: download the model again.";
  write_index(folder, {{"x", "a.safetensors"}, {"y", "b.safetensors"}, {"z", "b.safetensors"}});
  EXPECT_EQ(text_of(Checkpoint::open(folder.path())),
            "a shard lacks a tensor that the index says it has (tensor = z, "
            "shard = b.safetensors, folder = " +
                folder.path() + remedy);
  write_index(folder, {{"x", "b.safetensors"}, {"y", "a.safetensors"}});
  EXPECT_EQ(text_of(Checkpoint::open(folder.path())),
            "a shard lacks a tensor that the index says it has (tensor = x, "
            "shard = b.safetensors, folder = " +
                folder.path() + remedy);
}

TEST(CheckpointTest, TensorInTwoShards) {
  const TempFolder folder;
  write_shard(folder, "a.safetensors", {"x", "y"});
  write_shard(folder, "b.safetensors", {"y"});
  write_index(folder, {{"x", "a.safetensors"}, {"y", "b.safetensors"}});
  EXPECT_EQ(text_of(Checkpoint::open(folder.path())),
            "a tensor stands in two shards (tensor = y, first = " + folder.file("a.safetensors") +
                ", second = " + folder.file("b.safetensors") +
                "). Remove the shard that does not belong to the model, or download it again.");
}

TEST(CheckpointTest, BadIndex) {
  const TempFolder folder;
  const std::string path = folder.file("model.safetensors.index.json");
  const std::string no_map =
      "the index has no weight_map (index = " + path + "). Download the index again.";
  for (const std::string_view index :
       {"[]", "{}", R"({"weight_map": []})", R"({"weight_map": {}})"}) {
    folder.write("model.safetensors.index.json", index);
    EXPECT_EQ(text_of(Checkpoint::open(folder.path())), no_map);
  }
  for (const std::string_view shard : {"../a.safetensors", "/etc/passwd", "", "..", "a/b"}) {
    write_index(folder, {{"x", shard}});
    EXPECT_EQ(text_of(Checkpoint::open(folder.path())),
              fmt::format("the index names something that is no shard in its own folder (index = "
                          "{}, tensor = x, shard = \"{}\")",
                          path, shard));
  }
  write_index(folder, {{"x", 7}});
  EXPECT_FALSE(Checkpoint::open(folder.path()).ok());
  folder.write("model.safetensors.index.json", "{");
  EXPECT_EQ(Checkpoint::open(folder.path()).error().message(), "not valid JSON");
}

}  // namespace
}  // namespace braid::model

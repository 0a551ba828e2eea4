#include "model/checkpoint_source.h"

#include <array>
#include <cmath>
#include <random>

#include "model/config.h"
#include "model/testing.h"

namespace braid::model {
namespace {

using testing::text_of;

CheckpointSource open(const std::string& folder, SourceOptions options = {}) {
  return {*Checkpoint::open(folder), load_config(folder)->quantization, options};
}

// CRC-32 as in zlib.
uint32_t crc32(std::span<const std::byte> bytes) {
  uint32_t crc = 0xffffffffu;
  for (const std::byte byte : bytes) {
    crc ^= static_cast<uint32_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (0xedb88320u & (0u - (crc & 1)));
  }
  return ~crc;
}

TEST(CheckpointSourceTest, EveryQuantizedGoldenWeightIsAsComputedElsewhere) {
  const Json all = *read_json_file(testing::source_path("tests/data/quant/golden_crc32.json"));
  EXPECT_EQ(all.size(), 5u);
  for (const auto& [folder, weights] : all.items()) {
    const CheckpointSource source = open(testing::golden_folder(folder), {.check_weights = true});
    for (const auto& [name, expected] : weights.items()) {
      const auto shape = expected["shape"].get<std::vector<int64_t>>();
      std::vector<float> values(static_cast<size_t>(shape[0] * shape[1]));
      const Status status = source.read(name, shape, values);
      ASSERT_TRUE(status.ok()) << text_of(status);
      EXPECT_EQ(crc32(std::as_bytes(std::span(values))), expected["crc32"].get<uint32_t>()) << name;
    }
  }
}

TEST(CheckpointSourceTest, EveryPlainGoldenWeightOpensAndIsFinite) {
  for (const char* name : {"glm4_moe", "deepseek_v2", "deepseek_v3", "qwen2", "qwen3_moe",
                           "mixtral", "glm4_moe_nvfp4"}) {
    const std::string folder = testing::golden_folder(name);
    const CheckpointSource source = open(folder, {.check_weights = true});
    int tensors = 0;
    for (const SafetensorsFile& file : source.checkpoint().files()) {
      for (const StoredTensor& tensor : file.tensors()) {
        if (tensor.type != StorageType::bf16 && tensor.type != StorageType::f32) continue;
        std::vector<float> values(static_cast<size_t>(tensor.bytes / bytes_of(tensor.type)));
        const Status status = source.read(tensor.name, tensor.shape, values);
        EXPECT_TRUE(status.ok()) << text_of(status);
        ++tensors;
      }
    }
    EXPECT_GT(tensors, 10) << name;
  }
}

// Reading a block gives that part of the whole, in every format.
TEST(CheckpointSourceTest, BlocksArePartsOfTheWhole) {
  const std::array<std::pair<const char*, const char*>, 6> cases = {
      {{"glm4_moe", "model.layers.0.mlp.down_proj.weight"},
       {"glm4_moe_fp8_block", "model.layers.0.mlp.down_proj.weight"},
       {"glm4_moe_nvfp4", "model.layers.0.mlp.down_proj.weight"},
       {"deepseek_v3_fp8_block", "model.layers.0.self_attn.kv_a_proj_with_mqa.weight"},
       {"mixtral_fp8_tensor", "model.layers.1.block_sparse_moe.experts.3.w2.weight"},
       {"qwen3_moe_fp8_channel", "model.layers.1.mlp.experts.15.gate_proj.weight"}}};
  std::mt19937 random(1);
  for (const auto& [folder, name] : cases) {
    const CheckpointSource source = open(testing::golden_folder(folder));
    std::vector<int64_t> shape = (*source.checkpoint().find(name))->shape;
    if ((*source.checkpoint().find(name))->type == StorageType::u8) shape[1] *= 2;
    std::vector<float> whole(static_cast<size_t>(shape[0] * shape[1]));
    ASSERT_TRUE(source.read(name, shape, whole).ok());
    for (int i = 0; i < 20; ++i) {
      Block block;
      block.first_row = random() % shape[0];
      block.rows = random() % (shape[0] - block.first_row + 1);
      block.first_column = random() % shape[1];
      block.columns = 1 + random() % (shape[1] - block.first_column);
      std::vector<float> part(static_cast<size_t>(block.rows * block.columns));
      ASSERT_TRUE(source.read_block(name, shape, block, part).ok());
      for (int64_t j = 0; j < std::ssize(part); ++j) {
        const int64_t row = block.first_row + j / block.columns;
        const int64_t column = block.first_column + j % block.columns;
        ASSERT_EQ(part[static_cast<size_t>(j)],
                  whole[static_cast<size_t>(row * shape[1] + column)]);
      }
    }
  }
}

TEST(CheckpointSourceTest, Bytes) {
  const CheckpointSource source = open(testing::golden_folder("glm4_moe_nvfp4"));
  EXPECT_EQ(source.bytes("model.layers.0.mlp.down_proj.weight"), 128 * 128 + 128 * 16 + 4);
  EXPECT_EQ(source.bytes("model.norm.weight"), 256);
  EXPECT_EQ(source.bytes("absent.weight"), 0);
  EXPECT_EQ(source.bytes(), source.checkpoint().bytes());
  EXPECT_TRUE(source.has("model.norm.weight"));
  EXPECT_FALSE(source.has("model.layers.7.input_layernorm.weight"));
}

// A checkpoint of tensors made for one test.
class Handmade {
 public:
  template <typename T>
  void add(std::string name, StorageType type, std::vector<int64_t> shape, std::vector<T> values) {
    const auto bytes = std::as_bytes(std::span(values));
    stored_.emplace_back(bytes.begin(), bytes.end());
    tensors_.push_back({std::move(name), type, std::move(shape), {}});
  }
  CheckpointSource open(QuantScheme scheme = {}, SourceOptions options = {}) {
    for (size_t i = 0; i < tensors_.size(); ++i) tensors_[i].bytes = stored_[i];
    EXPECT_EQ(text_of(write_safetensors(folder_.file("model.safetensors"), tensors_)), "ok");
    return {*Checkpoint::open(folder_.path()), std::move(scheme), options};
  }
  // The error of reading x.weight [rows, columns], with FOLDER for the folder's path.
  std::string refusal(const CheckpointSource& source, int64_t rows, int64_t columns) const {
    std::vector<float> out(static_cast<size_t>(rows * columns));
    std::string text = text_of(source.read("x.weight", std::vector<int64_t>{rows, columns}, out));
    const size_t place = text.find(folder_.path());
    return place == text.npos ? text : text.replace(place, folder_.path().size(), "FOLDER");
  }

 private:
  TempFolder folder_;
  std::vector<std::vector<std::byte>> stored_;
  std::vector<TensorView> tensors_;
};

TEST(CheckpointSourceTest, PlainFloatsConvertExactly) {
  Handmade made;
  made.add<float>("f32", StorageType::f32, {2}, {0.1f, -3e38f});
  made.add<uint16_t>("bf16", StorageType::bf16, {2}, {0x3f80, 0xc000});
  made.add<uint16_t>("f16", StorageType::f16, {2}, {0x3c00, 0x0001});
  const CheckpointSource source = made.open();
  std::vector<float> out(2);
  const std::vector<int64_t> shape = {2};
  ASSERT_TRUE(source.read("f32", shape, out).ok());
  EXPECT_EQ(out, (std::vector<float>{0.1f, -3e38f}));
  ASSERT_TRUE(source.read("bf16", shape, out).ok());
  EXPECT_EQ(out, (std::vector<float>{1.0f, -2.0f}));
  ASSERT_TRUE(source.read("f16", shape, out).ok());
  EXPECT_EQ(out, (std::vector<float>{1.0f, std::ldexp(1.0f, -24)}));
}

TEST(CheckpointSourceTest, RefusesWrongShapeDtypeAndNames) {
  Handmade made;
  made.add<float>("x.weight", StorageType::f32, {2, 2}, {1, 2, 3, 4});
  const CheckpointSource source = made.open();
  EXPECT_EQ(made.refusal(source, 2, 2), "ok");
  EXPECT_EQ(made.refusal(source, 4, 1),
            "a tensor's shape is not as config.json says (tensor = x.weight, expected = [4, 1], "
            "got = [2, 2], folder = FOLDER). Weights and config.json belong to different models, "
            "or the checkpoint is damaged.");
  Handmade integers;
  integers.add<int64_t>("x.weight", StorageType::i64, {1, 1}, {7});
  EXPECT_EQ(integers.refusal(integers.open(), 1, 1),
            "a tensor's dtype is not as expected (tensor = x.weight, expected = F32, BF16 or F16, "
            "got = I64, folder = FOLDER, quantization = none). config.json does not say that "
            "this tensor is quantized in this way.");
  Handmade empty;
  EXPECT_EQ(empty.refusal(empty.open(), 1, 1),
            "the checkpoint lacks a tensor (tensor = x.weight, folder = FOLDER). The weights do "
            "not belong to this config.json, or the download is incomplete.");
}

TEST(CheckpointSourceTest, RefusesNanWeightsWhenAsked) {
  Handmade made;
  made.add<float>("x.weight", StorageType::f32, {2, 2}, {1, 2, NAN, 4});
  EXPECT_EQ(made.refusal(made.open({}, {.check_weights = true}), 2, 2),
            "a weight is not a finite number (tensor = x.weight, row = 1, column = 0, "
            "value = nan). Download the model again.");
  EXPECT_EQ(made.refusal(made.open(), 2, 2), "ok");
  Handmade eight_bits;
  eight_bits.add<uint8_t>("x.weight", StorageType::f8_e4m3, {1, 2}, {0x38, 0xff});
  eight_bits.add<float>("x.weight_scale", StorageType::f32, {}, {2.0f});
  const auto source = eight_bits.open({.kind = QuantKind::fp8_tensor}, {.check_weights = true});
  EXPECT_NE(eight_bits.refusal(source, 1, 2).find("row = 0, column = 1"), std::string::npos);
}

TEST(CheckpointSourceTest, ScalesMayBeOfAnyFloatTypeButMustFit) {
  for (const std::vector<int64_t>& shape : {std::vector<int64_t>{}, std::vector<int64_t>{1}}) {
    Handmade made;
    made.add<uint8_t>("x.weight", StorageType::f8_e4m3, {1, 2}, {0x38, 0x40});
    made.add<uint16_t>("x.weight_scale", StorageType::bf16, shape, {0x4000});
    EXPECT_EQ(made.refusal(made.open({.kind = QuantKind::fp8_tensor}), 1, 2), "ok");
  }
  Handmade made;
  made.add<uint8_t>("x.weight", StorageType::f8_e4m3, {2, 2}, {1, 2, 3, 4});
  made.add<float>("x.weight_scale", StorageType::f32, {2}, {1, 2});
  made.add<uint8_t>("x.weight_scale_inv", StorageType::u8, {1, 2}, {1, 2});
  const std::string remedy =
      "). Weights and config.json belong to different models, or the checkpoint is damaged.";
  EXPECT_EQ(made.refusal(made.open({.kind = QuantKind::fp8_tensor}), 2, 2),
            "a tensor's shape is not as config.json says (tensor = x.weight_scale, expected = [] "
            "or [1], got = [2], folder = FOLDER" +
                remedy);
  EXPECT_EQ(made.refusal(made.open({.kind = QuantKind::fp8_channel}), 2, 2),
            "a tensor's shape is not as config.json says (tensor = x.weight_scale, "
            "expected = [2, 1], got = [2], folder = FOLDER" +
                remedy);
  const QuantScheme block = {.kind = QuantKind::fp8_block, .block_rows = 2, .block_columns = 1};
  EXPECT_EQ(made.refusal(made.open(block), 2, 2),
            "a tensor's dtype is not as expected (tensor = x.weight_scale_inv, expected = F32, "
            "BF16 or F16, got = U8, folder = FOLDER)");
}

TEST(CheckpointSourceTest, RefusesNvfp4WithWrongParts) {
  const auto make = [](Handmade& made, StorageType scale_type, std::vector<int64_t> scale_shape) {
    made.add<uint8_t>("x.weight", StorageType::u8, {1, 8}, std::vector<uint8_t>(8, 0x21));
    made.add<uint8_t>("x.weight_scale", scale_type, std::move(scale_shape), {0x38});
  };
  Handmade made;
  make(made, StorageType::f8_e4m3, {1, 1});
  EXPECT_NE(made.refusal(made.open({.kind = QuantKind::nvfp4}), 1, 16)
                .find("the checkpoint lacks a tensor (tensor = x.weight_scale_2"),
            std::string::npos);
  made.add<float>("x.weight_scale_2", StorageType::f32, {}, {2.0f});
  const CheckpointSource source = made.open({.kind = QuantKind::nvfp4});
  EXPECT_EQ(made.refusal(source, 1, 16), "ok");
  EXPECT_NE(made.refusal(source, 1, 8).find("expected = columns in groups of 16"),
            std::string::npos);
  EXPECT_NE(made.refusal(source, 1, 32).find("expected = [1, 16], got = [1, 8]"),
            std::string::npos);
  Handmade bytes;
  make(bytes, StorageType::u8, {1, 1});
  EXPECT_NE(bytes.refusal(bytes.open({.kind = QuantKind::nvfp4}), 1, 16)
                .find("(tensor = x.weight_scale, expected = F8_E4M3, got = U8"),
            std::string::npos);
  Handmade flat;
  make(flat, StorageType::f8_e4m3, {1});
  EXPECT_NE(flat.refusal(flat.open({.kind = QuantKind::nvfp4}), 1, 16)
                .find("(tensor = x.weight_scale, expected = [1, 1], got = [1]"),
            std::string::npos);
}

TEST(CheckpointSourceTest, RefusesQuantizedTensorsThatTheConfigDoesNotExplain) {
  Handmade made;
  made.add<uint8_t>("x.weight", StorageType::f8_e4m3, {1, 1}, {0x38});
  made.add<float>("x.weight_scale", StorageType::f32, {}, {1.0f});
  EXPECT_NE(made.refusal(made.open(), 1, 1).find("got = F8_E4M3"), std::string::npos);
  EXPECT_NE(made.refusal(made.open({.kind = QuantKind::nvfp4}), 1, 1).find("got = F8_E4M3"),
            std::string::npos);
  const QuantScheme ignoring = {.kind = QuantKind::fp8_tensor, .ignore = *IgnoreList::parse({"x"})};
  EXPECT_EQ(made.refusal(made.open(ignoring), 1, 1),
            "a tensor is quantized although the quantization's ignore list names it "
            "(tensor = x.weight, dtype = F8_E4M3, folder = FOLDER)");
}

}  // namespace
}  // namespace braid::model

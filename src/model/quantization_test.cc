#include "model/quantization.h"

#include "model/testing.h"

namespace braid::model {
namespace {

using testing::text_of;

Result<QuantScheme> parse(const Json& json) {
  return parse_quantization({json, "quantization_config"});
}

Json compressed(const Json& weights) {
  return {{"quant_method", "compressed-tensors"},
          {"format", "float-quantized"},
          {"ignore", {"lm_head"}},
          {"config_groups", {{"group_0", {{"targets", {"Linear"}}, {"weights", weights}}}}}};
}

constexpr std::string_view kSupported =
    "Supported: fp8 (per tensor or with weight_block_size), compressed-tensors (float-quantized, "
    "8 bits per channel or tensor), modelopt (FP8, NVFP4).";

TEST(QuantizationTest, Fp8) {
  const QuantScheme block = *parse({{"quant_method", "fp8"},
                                    {"fmt", "e4m3"},
                                    {"weight_block_size", {128, 64}},
                                    {"modules_to_not_convert", {"lm_head"}}});
  EXPECT_EQ(block.kind, QuantKind::fp8_block);
  EXPECT_EQ(block.block_rows, 128);
  EXPECT_EQ(block.block_columns, 64);
  EXPECT_TRUE(*block.ignore.matches("lm_head"));
  EXPECT_EQ(parse({{"quant_method", "fp8"}, {"weight_block_size", nullptr}})->kind,
            QuantKind::fp8_tensor);
}

TEST(QuantizationTest, CompressedTensors) {
  const QuantScheme channel =
      *parse(compressed({{"num_bits", 8}, {"type", "float"}, {"strategy", "channel"}}));
  EXPECT_EQ(channel.kind, QuantKind::fp8_channel);
  EXPECT_TRUE(*channel.ignore.matches("lm_head"));
  EXPECT_EQ(parse(compressed({{"num_bits", 8}, {"type", "float"}, {"strategy", "tensor"}}))->kind,
            QuantKind::fp8_tensor);
}

TEST(QuantizationTest, ModeloptInEitherFile) {
  const QuantScheme inside =
      *parse({{"quant_method", "modelopt"}, {"quant_algo", "NVFP4"}, {"ignore", {"*mlp.gate"}}});
  EXPECT_EQ(inside.kind, QuantKind::nvfp4);
  EXPECT_TRUE(*inside.ignore.matches("model.layers.3.mlp.gate"));
  const QuantScheme apart =
      *parse({{"producer", {{"name", "modelopt"}}},
              {"quantization",
               {{"quant_algo", "NVFP4"}, {"group_size", 16}, {"exclude_modules", {"lm_head"}}}}});
  EXPECT_EQ(apart.kind, QuantKind::nvfp4);
  EXPECT_TRUE(*apart.ignore.matches("lm_head"));
  EXPECT_EQ(parse({{"quant_method", "modelopt"}, {"quant_algo", "FP8"}})->kind,
            QuantKind::fp8_tensor);
}

TEST(QuantizationTest, RefusesOtherMethodsByName) {
  const auto unknown = parse({{"quant_method", "awq"}, {"bits", 4}});
  EXPECT_EQ(
      text_of(unknown),
      fmt::format("braid has no such quantization method (key = quant_method, value = \"awq\", "
                  "in = quantization_config). {}",
                  kSupported));
  EXPECT_EQ(unknown.error().kind(), ErrorKind::unsupported);
  EXPECT_EQ(text_of(parse({{"quant_method", "modelopt"}, {"quant_algo", "W4A8_AWQ"}})),
            fmt::format("braid has no such quantization algorithm (key = quant_algo, "
                        "value = \"W4A8_AWQ\", in = quantization_config). {}",
                        kSupported));
}

TEST(QuantizationTest, RefusesVariantsByName) {
  const auto message = [](const Json& json) { return parse(json).error().message(); };
  EXPECT_EQ(message({{"quant_method", "fp8"}, {"fmt", "e5m2"}}), "braid has no such 8-bit format");
  EXPECT_EQ(message({{"quant_method", "compressed-tensors"}, {"format", "pack-quantized"}}),
            "braid has no such format of quantized weights");
  EXPECT_EQ(message(compressed({{"num_bits", 4}, {"type", "float"}, {"strategy", "channel"}})),
            "braid has no quantized weights of this many bits");
  EXPECT_EQ(
      message(compressed(
          {{"num_bits", 8}, {"type", "float"}, {"strategy", "channel"}, {"symmetric", false}})),
      "braid has no quantized weights with zero points");
  EXPECT_EQ(message(compressed(
                {{"num_bits", 8}, {"type", "float"}, {"strategy", "channel"}, {"dynamic", true}})),
            "braid has no weights that are quantized while it runs");
  EXPECT_EQ(message(compressed({{"num_bits", 8}, {"type", "int"}, {"strategy", "channel"}})),
            "braid has no such type of quantized weights");
  EXPECT_EQ(message(compressed({{"num_bits", 8}, {"type", "float"}, {"strategy", "block"}})),
            "braid has no scales of this granularity");
  Json two = compressed({{"num_bits", 8}, {"type", "float"}, {"strategy", "channel"}});
  two["config_groups"]["group_1"] = two["config_groups"]["group_0"];
  EXPECT_TRUE(parse(two).ok());
  two["config_groups"]["group_1"]["weights"]["strategy"] = "tensor";
  EXPECT_EQ(message(two), "braid has no groups of different granularity");
}

TEST(QuantizationTest, NamesInAllTheirSpellings) {
  for (const char* method : {"modelopt", "ModelOpt_FP4", "modelopt-fp4"}) {
    EXPECT_EQ(parse({{"quant_method", method}, {"quant_algo", "nvfp4"}})->kind, QuantKind::nvfp4);
  }
  for (const char* format : {"e4m3", "float8_e4m3fn", "torch.float8_e4m3fn"}) {
    EXPECT_EQ(parse({{"quant_method", "FP8"}, {"fmt", format}})->kind, QuantKind::fp8_tensor);
  }
  Json tensors = compressed({{"num_bits", 8}, {"type", "FLOAT"}, {"strategy", "channel"}});
  for (const char* format : {"float_quantized", "naive-quantized"}) {
    tensors["quant_method"] = "compressed_tensors";
    tensors["format"] = format;
    EXPECT_EQ(parse(tensors)->kind, QuantKind::fp8_channel) << format;
  }
}

TEST(QuantizationTest, SectionsWithoutAMethodAreKnownByTheirKeys) {
  const QuantScheme fp8 = *parse({{"producer", {{"name", "modelopt"}}},
                                  {"quant_algo", "FP8"},
                                  {"exclude_modules", {"lm_head"}}});
  EXPECT_EQ(fp8.kind, QuantKind::fp8_tensor);
  EXPECT_TRUE(*fp8.ignore.matches("lm_head"));
  Json tensors = compressed({{"num_bits", 8}, {"type", "float"}, {"strategy", "channel"}});
  tensors.erase("quant_method");
  EXPECT_EQ(parse(tensors)->kind, QuantKind::fp8_channel);
}

TEST(QuantizationTest, OfTheKvCacheAlone) {
  const Json json = {{"producer", {{"name", "modelopt"}}},
                     {"quantization", {{"quant_algo", nullptr}, {"kv_cache_quant_algo", "FP8"}}}};
  const ConfigReader reader(json, "hf_quant_config.json");
  EXPECT_EQ(parse_quantization(reader)->kind, QuantKind::none);
  EXPECT_EQ(reader.keys().warnings,
            std::vector<std::string>{"quantization of hf_quant_config.json quantizes the KV cache "
                                     "alone: braid keeps it in --dtype"});
}

TEST(QuantizationTest, RefusesSparseAndTransformedWeights) {
  Json json = compressed({{"num_bits", 8}, {"type", "float"}, {"strategy", "channel"}});
  json["sparsity_config"] = Json::object();
  json["transform_config"] = {{"config_groups", Json::object()}};
  EXPECT_TRUE(parse(json).ok());
  json["sparsity_config"] = {{"format", "sparse-24-bitmask"}};
  EXPECT_EQ(parse(json).error().message(), "braid has no sparse weights");
  json["sparsity_config"] = {{"format", "dense"}};
  json["transform_config"] = {{"config_groups", {{"R3", {{"type", "hadamard"}}}}}};
  EXPECT_EQ(parse(json).error().message(),
            "braid has no weights that were transformed before quantization");
}

TEST(QuantizationTest, RefusesContradictions) {
  EXPECT_EQ(parse(Json::object()).error().message(), "a key is missing");
  EXPECT_EQ(parse({{"quant_method", "fp8"}, {"weight_block_size", {128}}}).error().message(),
            "two integers were expected");
  EXPECT_FALSE(parse({{"quant_method", "fp8"}, {"weight_block_size", {128, 0}}}).ok());
  EXPECT_FALSE(parse({{"quant_method", "compressed-tensors"}, {"format", "float-quantized"}}).ok());
  EXPECT_FALSE(
      parse({{"quant_method", "modelopt"}, {"quant_algo", "NVFP4"}, {"group_size", 32}}).ok());
  EXPECT_FALSE(parse({{"quant_method", "fp8"}, {"modules_to_not_convert", {"re:("}}}).ok());
}

}  // namespace
}  // namespace braid::model

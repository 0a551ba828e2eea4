#include "model/config.h"

#include <cmath>

#include "model/testing.h"

namespace braid::model {
namespace {

using testing::text_of;

ModelConfig golden(std::string_view name, std::string_view override_json = {}) {
  const auto config = load_config(testing::golden_folder(name), override_json);
  EXPECT_TRUE(config.ok()) << text_of(config);
  return *config;
}

Json golden_json(std::string_view name) {
  return *read_json_file(testing::golden_folder(name) + "/config.json");
}

std::string refusal(const Json& json) {
  const auto config = parse_config(json);
  return config.ok() ? "accepted" : config.error().message();
}

TEST(ConfigTest, Glm4Moe) {
  const ModelConfig config = golden("glm4_moe");
  EXPECT_EQ(config.family->model_type, "glm4_moe");
  EXPECT_EQ(config.vocab_size, 512);
  EXPECT_EQ(config.hidden_size, 128);
  EXPECT_EQ(config.num_layers, 3);
  EXPECT_EQ(config.intermediate_size, 256);
  EXPECT_EQ(config.max_positions, 4096);
  EXPECT_EQ(config.rms_norm_eps, 1e-5);
  EXPECT_FALSE(config.tie_word_embeddings);
  EXPECT_TRUE(config.eos_token_ids.empty());
  const GqaConfig gqa = std::get<GqaConfig>(config.attention_of(0));
  EXPECT_EQ(gqa.num_heads, 4);
  EXPECT_EQ(gqa.num_kv_heads, 2);
  EXPECT_EQ(gqa.head_dim, 128);
  EXPECT_TRUE(gqa.qkv_bias);
  EXPECT_TRUE(gqa.qk_norm);
  EXPECT_EQ(config.rotary.dim, 64);
  EXPECT_EQ(config.rotary.theta, 10000.0);
  EXPECT_EQ(config.moe_layers, (std::vector<bool>{false, true, true}));
  EXPECT_EQ(config.moe->num_experts, 16);
  EXPECT_EQ(config.moe->top_k, 4);
  EXPECT_EQ(config.moe->expert_width, 64);
  EXPECT_EQ(config.moe->num_shared_experts, 1);
  EXPECT_EQ(config.moe->router.scaling_factor, 2.5);
  EXPECT_EQ(config.quantization.kind, QuantKind::none);
}

TEST(ConfigTest, DeepseekV2) {
  const ModelConfig config = golden("deepseek_v2");
  EXPECT_EQ(config.family->model_type, "deepseek_v2");
  const MlaConfig mla = std::get<MlaConfig>(config.attention_of(0));
  EXPECT_EQ(mla.q_lora_rank, 96);
  EXPECT_EQ(mla.kv_lora_rank, 512);
  EXPECT_EQ(config.rotary.dim, 64);
  EXPECT_TRUE(config.rotary.interleaved);
  EXPECT_NEAR(config.softmax_scale, 1 / std::sqrt(192.0), 1e-15);
  EXPECT_EQ(config.moe->num_shared_experts, 2);
  EXPECT_EQ(config.moe->router.group_score, GroupScore::max);
  EXPECT_EQ(config.moe->router.n_group, 4);
  EXPECT_EQ(config.moe->router.topk_group, 2);
  EXPECT_EQ(config.moe->router.scaling_factor, 4.0);
  EXPECT_EQ(config.eos_token_ids, std::vector<int64_t>{2});
}

TEST(ConfigTest, DeepseekV3) {
  for (const char* name : {"deepseek_v3", "deepseek_v3_fp8_block"}) {
    const ModelConfig config = golden(name);
    EXPECT_EQ(config.family->model_type, "deepseek_v3");
    EXPECT_NEAR(config.softmax_scale, 0.1352337788608801, 1e-15);
    ASSERT_TRUE(config.rotary.yarn.has_value());
    EXPECT_EQ(config.rotary.yarn->factor, 40.0);
    EXPECT_EQ(config.rotary.yarn->original_max_positions, 64);
    EXPECT_EQ(config.moe_layers, (std::vector<bool>{false, true}));
    EXPECT_EQ(config.moe->router.group_score, GroupScore::sum_of_top2);
    EXPECT_EQ(config.moe->router.topk_group, 2);
    EXPECT_TRUE(config.moe->router.normalize);
  }
}

TEST(ConfigTest, Qwen3Moe) {
  const ModelConfig config = golden("qwen3_moe");
  EXPECT_EQ(config.family->model_type, "qwen3_moe");
  EXPECT_EQ(config.moe->num_experts, 16);
  EXPECT_EQ(config.moe->router.score, RouterScore::softmax);
  EXPECT_TRUE(config.moe->router.normalize);
  EXPECT_EQ(config.moe_layers, (std::vector<bool>{true, true}));
  EXPECT_EQ(config.rotary.dim, 128);
}

TEST(ConfigTest, Qwen2) {
  const ModelConfig config = golden("qwen2");
  EXPECT_EQ(config.family->model_type, "qwen2");
  EXPECT_FALSE(config.moe.has_value());
  EXPECT_FALSE(config.is_moe(2));
  EXPECT_TRUE(std::get<GqaConfig>(config.attention_of(0)).qkv_bias);
}

TEST(ConfigTest, Mixtral) {
  const ModelConfig config = golden("mixtral");
  EXPECT_EQ(config.family->model_type, "mixtral");
  EXPECT_EQ(config.moe->expert_width, 128);
  EXPECT_EQ(config.moe->num_experts, 8);
  EXPECT_EQ(config.moe->top_k, 2);
  EXPECT_EQ(config.rotary.theta, 1e6);
}

TEST(ConfigTest, QuantizationOfTheGoldens) {
  EXPECT_EQ(golden("glm4_moe_fp8_block").quantization.kind, QuantKind::fp8_block);
  EXPECT_EQ(golden("deepseek_v3_fp8_block").quantization.block_columns, 128);
  EXPECT_EQ(golden("mixtral_fp8_tensor").quantization.kind, QuantKind::fp8_tensor);
  EXPECT_EQ(golden("qwen3_moe_fp8_channel").quantization.kind, QuantKind::fp8_channel);
  EXPECT_EQ(golden("glm4_moe_nvfp4").quantization.kind, QuantKind::nvfp4);
}

TEST(ConfigTest, TheBundledModel) {
  const auto config = load_config(testing::source_path("models/fairytale-moe"));
  ASSERT_TRUE(config.ok()) << text_of(config);
  EXPECT_EQ(config->moe->expert_width, 96);
  EXPECT_EQ(config->eos_token_ids, (std::vector<int64_t>{4089, 4091, 4093}));
  EXPECT_EQ(config->sampling.temperature, 0.8);
}

TEST(ConfigTest, EndTokensOfBothFiles) {
  const Json json = golden_json("mixtral");
  EXPECT_EQ(parse_config(json)->eos_token_ids, std::vector<int64_t>{2});
  Json generation = {{"eos_token_id", {7, 8}},
                     {"temperature", 0.6},
                     {"top_p", 0.95},
                     {"top_k", -1},
                     {"do_sample", true}};
  const ModelConfig config = *parse_config(json, {.generation_config = &generation});
  EXPECT_EQ(config.eos_token_ids, (std::vector<int64_t>{2, 7, 8}));
  EXPECT_EQ(config.sampling.temperature, 0.6);
  EXPECT_EQ(config.sampling.top_p, 0.95);
  EXPECT_EQ(config.sampling.top_k, 0);
  EXPECT_EQ(config.sampling.do_sample, true);
  generation = {{"eos_token_id", nullptr}, {"top_k", 20}};
  EXPECT_EQ(parse_config(json, {.generation_config = &generation})->eos_token_ids,
            std::vector<int64_t>{2});
  EXPECT_EQ(parse_config(json, {.generation_config = &generation})->sampling.top_k, 20);
  EXPECT_EQ(parse_config(json, {.generation_config = &generation})->sampling.temperature,
            std::nullopt);
  generation = {{"temperature", -1}};
  EXPECT_NE(text_of(parse_config(json, {.generation_config = &generation}))
                .find("in = generation_config.json"),
            std::string::npos);
}

TEST(ConfigTest, RotaryKeysAtTheTopLevel) {
  Json json = golden_json("deepseek_v3");
  Json scaling = json["rope_parameters"];
  json.erase("rope_parameters");
  json["rope_theta"] = scaling["rope_theta"];
  scaling.erase("rope_theta");
  scaling.erase("rope_type");
  json["rope_scaling"] = scaling;
  const ModelConfig older = *parse_config(json);
  const ModelConfig newer = golden("deepseek_v3");
  EXPECT_EQ(inverse_frequencies(older.rotary), inverse_frequencies(newer.rotary));
  EXPECT_EQ(older.softmax_scale, newer.softmax_scale);
  EXPECT_EQ(cos_sin_multiplier(older.rotary), cos_sin_multiplier(newer.rotary));
}

TEST(ConfigTest, QuantizationInItsOwnFile) {
  Json json = golden_json("glm4_moe");
  const Json apart = {{"quantization", {{"quant_algo", "NVFP4"}}}};
  EXPECT_EQ(parse_config(json, {.hf_quant_config = &apart})->quantization.kind, QuantKind::nvfp4);
  json["quantization_config"] = {{"quant_method", "fp8"}};  // config.json goes first
  EXPECT_EQ(parse_config(json, {.hf_quant_config = &apart})->quantization.kind,
            QuantKind::fp8_tensor);
  json["quantization_config"] = {{"quant_method", "gptq"}};
  EXPECT_EQ(refusal(json), "braid has no such quantization method");
}

TEST(ConfigTest, OverridesReplaceKeys) {
  const ModelConfig config =
      golden("glm4_moe", R"({"num_hidden_layers": 1, "use_qk_norm": false})");
  EXPECT_EQ(config.num_layers, 1);
  EXPECT_EQ(config.moe_layers, std::vector<bool>{false});
  EXPECT_FALSE(std::get<GqaConfig>(config.attention_of(0)).qk_norm);
  for (const std::string_view bad : {"{", "[]", "7"}) {
    const auto result = load_config(testing::golden_folder("glm4_moe"), bad);
    EXPECT_EQ(text_of(result),
              fmt::format("--json-model-override-args is no JSON object (value = {}). Pass an "
                          "object such as '{{\"num_hidden_layers\": 4}}'.",
                          bad));
    EXPECT_EQ(result.error().kind(), ErrorKind::usage);
  }
}

TEST(ConfigTest, RefusesOtherArchitectures) {
  Json json = golden_json("qwen2");
  json["architectures"] = {"LlamaForCausalLM"};
  EXPECT_EQ(refusal(json), "braid has no such architecture");
  json.erase("architectures");
  EXPECT_EQ(refusal(json), "a key is missing");
  EXPECT_EQ(text_of(parse_config(Json::array())), "a JSON object was expected (in = config.json)");
}

TEST(ConfigTest, RefusesWhatTheLayersDoNotHave) {
  Json json = golden_json("qwen2");
  json["hidden_act"] = "gelu";
  EXPECT_EQ(text_of(parse_config(json)),
            "braid has no such activation function (key = hidden_act, value = \"gelu\", "
            "in = config.json). Supported: silu.");
  json["hidden_act"] = "silu";
  json["mlp_bias"] = true;
  EXPECT_EQ(text_of(parse_config(json)),
            "braid has no MLP with bias (key = mlp_bias, value = true, in = config.json). "
            "Use a checkpoint whose MLPs have no bias.");
}

// Every number that the sizes of buffers come from has bounds.
TEST(ConfigTest, RefusesNumbersThatCannotBe) {
  for (const char* name : {"glm4_moe", "deepseek_v3", "mixtral"}) {
    const Json json = golden_json(name);
    EXPECT_EQ(refusal(json), "accepted");
    for (const auto& [key, value] : json.items()) {
      if (!value.is_number_integer() || key == "bos_token_id" || key == "eos_token_id" ||
          key == "num_nextn_predict_layers" || key == "pretraining_tp" || key == "qk_head_dim" ||
          (key == "head_dim" && json["model_type"] == "deepseek_v3") ||
          (key == "num_key_value_heads" && json["model_type"] == "deepseek_v3")) {
        continue;  // not read
      }
      for (const Json& bad :
           {Json(-1), Json(int64_t{1} << 40), Json(1.5), Json("1"), Json(18446744073709551615u)}) {
        Json changed = json;
        changed[key] = bad;
        EXPECT_NE(refusal(changed), "accepted") << name << " " << key << " " << bad;
      }
    }
  }
}

TEST(ConfigTest, MissingKeysAreNamed) {
  for (const char* key : {"vocab_size", "hidden_size", "num_hidden_layers", "intermediate_size",
                          "max_position_embeddings", "rms_norm_eps", "num_attention_heads",
                          "num_experts_per_tok", "first_k_dense_replace", "norm_topk_prob"}) {
    Json json = golden_json("glm4_moe");
    json["hidden_size"] = 4096;
    json.erase(key);
    const auto config = parse_config(json);
    ASSERT_TRUE(config.ok()) << text_of(config);
    const Json defaults = Json::parse(testing::family("glm4_moe").defaults);
    const Note note{false,
                    fmt::format("config.json leaves out keys, for which braid takes the defaults "
                                "of transformers: {} = {}",
                                key, defaults[key].dump())};
    EXPECT_EQ(config->notes, std::vector<Note>{note});
    json[key] = nullptr;  // null asks for no default
    EXPECT_EQ(text_of(parse_config(json)),
              fmt::format("a key is missing (key = {0}, value = absent, in = config.json). Correct "
                          "config.json, or pass --json-model-override-args '{{\"{0}\": ...}}'.",
                          key));
  }
}

TEST(ConfigTest, MisspeltOverridesAreErrors) {
  const auto misspelt =
      load_config(testing::golden_folder("glm4_moe"), R"({"num_hidden_layer": 2})");
  EXPECT_EQ(misspelt.error().kind(), ErrorKind::usage);
  EXPECT_EQ(text_of(misspelt),
            "--json-model-override-args has a key that braid does not use (key = "
            "num_hidden_layer). The nearest key is num_hidden_layers.");
  EXPECT_FALSE(
      load_config(testing::golden_folder("glm4_moe"),
                  R"({"rope_parameters": {"rope_theta": 10000.0, "rope_tipe": "default"}})")
          .ok());
  const ModelConfig harmless = golden("glm4_moe", R"({"torch_dtype": "float16"})");
  ASSERT_EQ(harmless.notes.size(), 1u);
  EXPECT_EQ(harmless.notes[0].text,
            "--json-model-override-args sets torch_dtype, which changes nothing: braid does not "
            "use it for this model");
}

TEST(ConfigTest, OverridesOfRotaryKeysReachTheSections) {
  EXPECT_EQ(golden("glm4_moe", R"({"rope_theta": 500.0})").rotary.theta, 500.0);
  EXPECT_EQ(golden("glm4_moe", R"({"partial_rotary_factor": 1.0})").rotary.dim, 128);
  const ModelConfig yarn = golden("glm4_moe", R"({"rope_scaling": {"type": "yarn", "factor": 4.0,
                      "original_max_position_embeddings": 64}})");
  ASSERT_TRUE(yarn.rotary.yarn.has_value());
  EXPECT_EQ(yarn.rotary.yarn->factor, 4.0);
  EXPECT_EQ(yarn.rotary.theta, 10000.0);
  EXPECT_EQ(yarn.rotary.dim, 64);
  EXPECT_EQ(text_of(load_config(testing::golden_folder("glm4_moe"),
                                R"({"rope_scaling": {"type": "longrope"}})")),
            "braid has no such rotary scaling (key = type, value = \"longrope\", in = rope_scaling "
            "of config.json). Supported: default, yarn.");
}

TEST(ConfigTest, DuplicateKeysAreTold) {
  const TempFolder folder;
  std::string text = *read_file(testing::golden_folder("qwen2") + "/config.json");
  text.insert(1, "\"vocab_size\": 7,");
  folder.write("config.json", text);
  const auto config = load_config(folder.path());
  ASSERT_TRUE(config.ok()) << text_of(config);
  EXPECT_EQ(config->vocab_size, 512);
  EXPECT_EQ(
      config->notes,
      (std::vector<Note>{{true, "config.json has the key vocab_size twice: the last one counts"}}));
}

TEST(ConfigTest, FoldersWithoutAConfig) {
  const TempFolder folder;
  EXPECT_EQ(text_of(load_config(folder.path())),
            "the model folder has no config.json (folder = " + folder.path() +
                "). Pass the folder that holds config.json and the .safetensors files.");
  folder.write("config.json", "{\"vocab_size\": ");
  EXPECT_EQ(load_config(folder.path()).error().message(), "not valid JSON");
  folder.write("config.json", "[]");
  EXPECT_EQ(load_config(folder.path(), "{}").error().message(), "a JSON object was expected");
  EXPECT_NE(text_of(load_config("owner/name")).find("huggingface-cli download owner/name"),
            std::string::npos);
  folder.write("config.json", golden_json("qwen2").dump());
  folder.write("generation_config.json", "{");
  EXPECT_NE(text_of(load_config(folder.path())).find("generation_config.json"), std::string::npos);
}

}  // namespace
}  // namespace braid::model

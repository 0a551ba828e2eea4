// What a model's files say, on the command line: what is not used is told, and what ends an answer.
#include <gtest/gtest.h>

#include <filesystem>

#include "base/json.h"
#include "base/temp_folder.h"
#include "support/command.h"
#include "support/models.h"

namespace braid::testing {
namespace {

// The bundled model, with other small files where a test writes them.
class ModelFilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const auto& entry : std::filesystem::directory_iterator(fairytale_folder())) {
      const std::string to = folder_.file(entry.path().filename().string());
      if (entry.path().extension() == ".safetensors") {
        std::filesystem::create_symlink(entry.path(), to);
      } else {
        std::filesystem::copy_file(entry.path(), to);
      }
    }
  }

  Ran generate(const std::vector<std::string>& more) const {
    std::vector<std::string> arguments = {"generate", folder_.path(), "--quiet"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_braid(arguments);
  }
  Ran with_override(const std::string& json) const {
    return generate({"--prompt", "Once upon a time", "--temperature", "0", "--max-tokens", "12",
                     "--json-model-override-args", json});
  }
  // An answer that comes to its end, by tokenizer_config.json's end token alone or by `more`.
  Ran to_the_end(std::vector<std::string> more) const {
    more.insert(more.end(),
                {"--prompt", "And if they are not dead, they are living still.", "--temperature",
                 "1", "--top-p", "0.95", "--top-k", "0", "--seed", "1", "--max-tokens", "300",
                 "--json", "--json-model-override-args", R"({"eos_token_id": 4090})"});
    return generate(more);
  }

  TempFolder folder_;
};

TEST_F(ModelFilesTest, TensorsThatConfigJsonDoesNotAnnounce) {
  EXPECT_EQ(with_override("{}").err, "");
  const std::string start = "braid: warning: config.json does not announce ";
  EXPECT_EQ(with_override(R"({"attention_bias": false})").err,
            start +
                "15 tensors of the checkpoint, which are not read: "
                "model.layers.*.self_attn.k_proj.bias (5), model.layers.*.self_attn.q_proj.bias "
                "(5), model.layers.*.self_attn.v_proj.bias (5)\n");
  EXPECT_NE(with_override(R"({"n_shared_experts": null})").err.find(start + "12 tensors"),
            std::string::npos);
  EXPECT_NE(with_override(R"({"num_hidden_layers": 3})").err.find("num_hidden_layers is 3"),
            std::string::npos);
}

TEST_F(ModelFilesTest, MisspeltAndRotaryOverrides) {
  const Ran misspelt = with_override(R"({"num_hidden_layer": 2})");
  EXPECT_EQ(misspelt.code, 2);
  EXPECT_NE(misspelt.err.find("The nearest key is num_hidden_layers."), std::string::npos);
  const std::string usual = with_override("{}").out;
  for (const char* json : {R"({"rope_theta": 500.0})", R"({"partial_rotary_factor": 1.0})",
                           R"({"rope_scaling": {"type": "yarn", "factor": 4.0,
            "original_max_position_embeddings": 64}})"}) {
    const Ran ran = with_override(json);
    EXPECT_EQ(ran.code, 0) << ran.err;
    EXPECT_NE(ran.out, usual) << json;
  }
}

TEST_F(ModelFilesTest, RecommendationsThatAreNotApplied) {
  folder_.write("generation_config.json",
                R"({"do_sample": true, "no_repeat_ngram_size": 3, "top_p": 0.9})");
  EXPECT_EQ(with_override("{}").err,
            "braid: warning: generation_config.json recommends what braid does not apply: "
            "no_repeat_ngram_size = 3\n");
  folder_.write("generation_config.json", R"({"do_sample": true, "top_p": 0})");
  const Ran zero = with_override("{}");
  EXPECT_EQ(zero.code, 2);
  EXPECT_EQ(zero.err,
            "braid: error: the recommended top_p must be above 0 and at most 1 (top_p = 0, in = "
            "generation_config.json). Pass --top-p, or correct generation_config.json.\n");
  EXPECT_EQ(generate({"--prompt", "x", "--max-tokens", "1", "--top-p", "0.5"}).code, 0);
}

TEST_F(ModelFilesTest, TheTokenizersEndTokenStops) {
  folder_.write("generation_config.json", R"({"do_sample": true})");
  EXPECT_EQ(to_the_end({}).json()["finish_reason"], "stop");
}

TEST_F(ModelFilesTest, StopsFindTheTextOfSpecialTokens) {
  folder_.write("generation_config.json", R"({"do_sample": true})");
  Json tokenizer = read_json_file(folder_.file("tokenizer_config.json")).value();
  const std::string end = tokenizer["eos_token"].get<std::string>();
  tokenizer.erase("eos_token");
  folder_.write("tokenizer_config.json", tokenizer.dump());
  EXPECT_EQ(to_the_end({}).json()["finish_reason"], "length");
  const Ran stopped = to_the_end({"--stop", end});
  EXPECT_EQ(stopped.json()["finish_reason"], "stop");
  EXPECT_EQ(stopped.json()["text"].get<std::string>().find(end), std::string::npos);
}

}  // namespace
}  // namespace braid::testing

// How answers are drawn, end to end: penalties, biases, min_p, log probabilities; and logits that
// are not finite end every command that needs them.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>

#include "base/temp_folder.h"
#include "support/checkpoint_copy.h"
#include "support/command.h"
#include "support/models.h"

namespace braid::testing {
namespace {

std::vector<std::string> greedy(const std::string& folder, const std::vector<std::string>& more) {
  std::vector<std::string> arguments = {
      "generate",     folder, "--prompt", "Once",          "--json",
      "--max-tokens", "24",   "--quiet",  "--temperature", "0"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

std::vector<int32_t> ids_of(const Ran& ran) {
  EXPECT_EQ(ran.code, 0) << ran.err;
  return ran.json()["ids"].get<std::vector<int32_t>>();
}

size_t distinct(std::vector<int32_t> ids) {
  std::sort(ids.begin(), ids.end());
  return static_cast<size_t>(std::unique(ids.begin(), ids.end()) - ids.begin());
}

TEST(CliSamplingTest, PenaltiesMakeTokensLessLikely) {
  const std::vector<int32_t> plain = ids_of(run_braid(greedy(fairytale_folder(), {})));
  for (const char* option :
       {"--repetition-penalty=1.9", "--presence-penalty=2", "--frequency-penalty=2"}) {
    const std::vector<int32_t> ids = ids_of(run_braid(greedy(fairytale_folder(), {option})));
    EXPECT_NE(ids, plain) << option;
    EXPECT_GT(distinct(ids), distinct(plain)) << option;
  }
  const std::string first = std::to_string(plain.front());
  const Ran never = run_braid(greedy(fairytale_folder(), {"--logit-bias", first + "=-100"}));
  const std::vector<int32_t> ids = ids_of(never);
  EXPECT_EQ(std::count(ids.begin(), ids.end(), plain.front()), 0);
}

TEST(CliSamplingTest, GenerationConfigIsApplied) {
  const TempFolder folder;
  for (const auto& entry : std::filesystem::directory_iterator(fairytale_folder())) {
    if (entry.path().filename() == "generation_config.json") continue;
    std::filesystem::create_symlink(entry.path(), folder.file(entry.path().filename().string()));
  }
  folder.write("generation_config.json", R"({"do_sample": true, "repetition_penalty": 1.9})");
  const Ran ran = run_braid(greedy(folder.path(), {}));
  EXPECT_EQ(ids_of(ran),
            ids_of(run_braid(greedy(fairytale_folder(), {"--repetition-penalty", "1.9"}))));
  EXPECT_EQ(ran.err, "");
  EXPECT_EQ(ids_of(run_braid(greedy(folder.path(), {"--repetition-penalty", "1"}))),
            ids_of(run_braid(greedy(fairytale_folder(), {}))));
}

TEST(CliSamplingTest, MinPLeavesTheLikeliestAlone) {
  const std::vector<std::string> hot = {"--temperature=1.5", "--seed=3"};
  std::vector<std::string> arguments = {
      "generate", fairytale_folder(), "--prompt", "Once", "--json", "--max-tokens",
      "24",       "--quiet",          "--top-p",  "1"};
  arguments.insert(arguments.end(), hot.begin(), hot.end());
  const std::vector<int32_t> drawn = ids_of(run_braid(arguments));
  arguments.insert(arguments.end(), {"--min-p", "1"});
  EXPECT_NE(drawn, ids_of(run_braid(greedy(fairytale_folder(), {}))));
  EXPECT_EQ(ids_of(run_braid(arguments)), ids_of(run_braid(greedy(fairytale_folder(), {}))));
}

TEST(CliSamplingTest, LogprobsOfEachTokenAndOfTheLikeliest) {
  const Ran plain = run_braid(greedy(fairytale_folder(), {}));
  const Ran ran = run_braid(greedy(fairytale_folder(), {"--logprobs", "3"}));
  EXPECT_EQ(ids_of(ran), ids_of(plain));
  const Json logprobs = ran.json()["logprobs"];
  ASSERT_EQ(logprobs.size(), 24u);
  for (const Json& token : logprobs) {
    ASSERT_EQ(token["top"].size(), 3u);
    EXPECT_EQ(token["top"][0], (Json{{"id", token["id"]}, {"logprob", token["logprob"]}}));
    double sum = 0;
    for (const Json& top : token["top"]) sum += std::exp(top["logprob"].get<double>());
    EXPECT_LE(sum, 1.0 + 1e-5);
  }
  EXPECT_FALSE(plain.json().contains("logprobs"));
}

TEST(CliSamplingTest, WhatIsNoParameterIsRefused) {
  const auto refusal = [](const std::vector<std::string>& more) {
    const Ran ran = run_braid(greedy(fairytale_folder(), more));
    EXPECT_EQ(ran.code, 2);
    return ran.err;
  };
  EXPECT_NE(refusal({"--logit-bias", "x=1"}).find("Write it like --logit-bias 42=-1.5."),
            std::string::npos);
  EXPECT_NE(refusal({"--logit-bias", "4096=1"}).find("a bias is given to a token that is none"),
            std::string::npos);
  const Ran text = run_braid({"generate", fairytale_folder(), "--prompt", "a", "--logprobs", "1"});
  EXPECT_EQ(text.code, 2);
  EXPECT_NE(text.err.find("Add --json."), std::string::npos) << text.err;
}

// A NaN in one expert's weights, and infinities in the head's.
TEST(CliSamplingTest, LogitsThatAreNotFiniteEndEveryCommand) {
  const TempFolder files;
  files.write("ids.json", "[1, 2, 3]");
  files.write("text.txt", "a text of some words");
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    CheckpointCopy copy(fairytale_folder());
    copy.fill("model.norm.weight", bad);
    const std::string folder = copy.write();
    for (const auto& entry : std::filesystem::directory_iterator(fairytale_folder())) {
      const std::string name = entry.path().filename().string();
      const auto to = std::filesystem::path(folder) / name;
      if (name.find("safetensors") == name.npos && !std::filesystem::exists(to)) {
        std::filesystem::copy(entry.path(), to);
      }
    }
    const std::vector<std::vector<std::string>> commands = {
        {"generate", folder, "--prompt", "Once", "--temperature", "0"},
        {"generate", folder, "--prompt", "Once", "--temperature", "1"},
        {"generate", folder, "--prompt", "Once", "--disable-overlap-schedule", "--tp", "2"},
        {"chat", folder},
        {"eval", "logits", folder, "--input-ids", files.file("ids.json"), "--output",
         files.file("logits.safetensors")},
        {"eval", "perplexity", folder, "--text", files.file("text.txt")},
        {"bench", "throughput", folder, "--num-prompts", "2", "--input-len", "4", "--output-len",
         "4"},
        {"bench", "latency", folder, "--input-len", "4", "--output-len", "4"}};
    for (std::vector<std::string> command : commands) {
      command.emplace_back("--quiet");
      const Ran ran = run_braid(command, {.in = "hello\n"});
      EXPECT_EQ(ran.code, 1) << command[0] << " " << command[1];
      EXPECT_NE(ran.err.find("the model's logits are not finite"), std::string::npos) << ran.err;
      EXPECT_NE(ran.err.find("--check-weights"), std::string::npos) << ran.err;
    }
    EXPECT_FALSE(std::filesystem::exists(files.file("logits.safetensors")));
  }
}

}  // namespace
}  // namespace braid::testing

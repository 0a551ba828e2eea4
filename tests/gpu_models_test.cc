// Whole models on a GPU, against the CPU in bfloat16 with the same experts chosen.
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <fstream>
#include <map>

#include "base/json.h"
#include "model/safetensors.h"
#include "ranks/backend.h"
#include "support/checkpoint_copy.h"
#include "support/command.h"
#include "support/models.h"
#include "support/prompt.h"
#include "support/shell.h"

namespace braid::testing {
namespace {

constexpr double kLogitError = 2e-2;  // relative, of all logits together

class GpuModelsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!ranks::free_gpu_memory(0).ok()) GTEST_SKIP() << "no GPU";
  }
};

TEST_F(GpuModelsTest, LogitsAreThoseOfTheCpu) {
  const std::string folder = make_temp_folder();
  std::ofstream(folder + "/ids.json") << "[1, 5, 9, 200, 33, 47, 1000, 18, 77, 3, 4, 90]";
  const auto eval = [&](const std::string& output, std::vector<std::string> more) {
    std::vector<std::string> words = {"eval",
                                      "logits",
                                      fairytale_folder(),
                                      "--input-ids",
                                      folder + "/ids.json",
                                      "--output",
                                      folder + "/" + output,
                                      "--dtype",
                                      "bfloat16",
                                      "--quiet"};
    words.insert(words.end(), more.begin(), more.end());
    const Ran ran = run_braid(words);
    EXPECT_EQ(ran.code, 0) << ran.err;
  };
  eval("cpu", {"--with-routing"});
  eval("gpu", {"--device", "cuda", "--force-routing", folder + "/cpu"});
  const std::vector<float> cpu = logits_in(folder + "/cpu"), gpu = logits_in(folder + "/gpu");
  EXPECT_LE(relative_error(gpu, cpu), kLogitError);
  eval("again",
       {"--device", "cuda", "--force-routing", folder + "/cpu", "--chunked-prefill-size", "64"});
  EXPECT_TRUE(same_bytes(logits_in(folder + "/again"), gpu));
}

TEST_F(GpuModelsTest, AnswersAreTheSameInEveryRun) {
  const std::vector<std::string> words = {
      "generate", fairytale_folder(), "--prompt", "Once upon a time", "--max-tokens",
      "24",       "--device",         "cuda",     "--quiet"};
  const Ran first = run_braid(words);
  ASSERT_EQ(first.code, 0) << first.err;
  EXPECT_GT(first.out.size(), 40u);
  EXPECT_EQ(run_braid(words).out, first.out);
}

// A golden's layout, or none of its own: one GPU.
struct Spread {
  std::string golden;
  std::string layout;
};

std::string test_name(const ::testing::TestParamInfo<Spread>& info) {
  std::string name = info.param.golden + "_" + info.param.layout;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return std::isalnum(c) == 0; }, '_');
  return name;
}

class GpuGoldenTest : public ::testing::TestWithParam<Spread> {
 protected:
  void SetUp() override {
    const int gpus = GetParam().layout.empty() ? 1 : 2;
    if (!ranks::free_gpu_memory(gpus - 1).ok()) GTEST_SKIP() << "fewer GPUs than " << gpus;
  }
};

// By the program itself, whose ranks are processes. Routers choose for themselves: a row near a tie
// may take another expert, whose logits are its own.
TEST_P(GpuGoldenTest, LogitsAreThoseOfTheReference) {
  const auto& [golden, layout] = GetParam();
  const std::string folder = make_temp_folder();
  const std::vector<int32_t> ids = golden_ids(golden, "input_ids");
  std::ofstream(folder + "/ids.json") << fmt::format("[{}]", fmt::join(ids, ", "));
  const std::string command = fmt::format(
      "{} eval logits {} --device cuda {} --input-ids {}/ids.json --output {}/logits --quiet",
      BRAID_PROGRAM, golden_folder(golden), layout, folder, folder);
  ASSERT_EQ(std::system(command.c_str()), 0) << command;
  const std::vector<float> got = logits_in(folder + "/logits");
  const std::vector<float> expected = golden_floats(golden, "logits");
  ASSERT_EQ(got.size(), expected.size());
  const size_t vocab = expected.size() / ids.size();
  size_t near = 0;
  for (size_t row = 0; row < ids.size(); ++row) {
    const double error = relative_error(std::span(got).subspan(row * vocab, vocab),
                                        std::span(expected).subspan(row * vocab, vocab));
    near += error <= 3 * kLogitError ? 1 : 0;
    EXPECT_LE(error, 0.6) << "row " << row;
  }
  EXPECT_GE(static_cast<double>(near), 0.85 * static_cast<double>(ids.size()));
}

std::vector<Spread> spreads() {
  std::vector<Spread> all;
  for (const char* golden : {"glm4_moe", "deepseek_v2", "deepseek_v3", "qwen2", "qwen3_moe",
                             "mixtral", "glm4_moe_fp8_block", "qwen3_moe_fp8_channel"}) {
    for (const char* layout :
         {"", "--tp 2", "--tp 2 --ep 2", "--dp 2", "--dp 2 --ep 2 --dispatch all-to-all"}) {
      const bool dense = std::string_view(golden) == "qwen2";
      if (dense && std::string_view(layout).find("p 2 --ep") != std::string_view::npos) continue;
      if (dense && std::string_view(layout) == "--dp 2") continue;
      all.push_back({golden, layout});
    }
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(Layouts, GpuGoldenTest, ::testing::ValuesIn(spreads()), test_name);

// What can be seen of several GPUs, each a process of its own.
class GpuRankViewsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!ranks::free_gpu_memory(1).ok()) GTEST_SKIP() << "fewer GPUs than 2";
  }
  // What a command prints; it must succeed.
  static std::string run(const std::string& words) {
    const Shell ran = shell(braid(words + " --quiet"));
    EXPECT_EQ(ran.code, 0) << words << "\n" << ran.out;
    return ran.out;
  }
};

TEST_F(GpuRankViewsTest, RoutingIsForcedOnAllGpus) {
  const std::string folder = make_temp_folder();
  std::ofstream(folder + "/ids.json") << "[1, 5, 9, 200, 33, 47, 1000, 18, 77, 3, 4, 90]";
  const std::string eval = fmt::format("eval logits {} --input-ids {}/ids.json --dtype bfloat16 ",
                                       fairytale_folder(), folder);
  run(eval + fmt::format("--output {}/cpu --with-routing", folder));
  const std::vector<float> cpu = logits_in(folder + "/cpu");
  for (const char* layout : {"--tp 2", "--tp 2 --ep 2", "--dp 2"}) {
    run(eval + fmt::format("--device cuda {} --output {}/gpu --with-routing --force-routing {}/cpu",
                           layout, folder, folder));
    EXPECT_LE(relative_error(logits_in(folder + "/gpu"), cpu), kLogitError) << layout;
    for (const char* layer : {"experts.1", "experts.4"}) {
      const auto bytes = [&](const char* file) {
        const auto opened = model::SafetensorsFile::open(folder + file);
        return opened->find(layer)->read().value();
      };
      EXPECT_TRUE(bytes("/gpu") == bytes("/cpu")) << layout;
    }
  }
}

TEST_F(GpuRankViewsTest, ProfilesHoldTheLanesOfAllGpus) {
  const std::string folder = make_temp_folder();
  const Json result =
      parse_json(run(fmt::format("profile {} --device cuda --tp 2 --steps 2 --json --output-dir {}",
                                 fairytale_folder(), folder)),
                 "result")
          .value();
  const Json trace = read_json_file(folder + "/trace.json").value();
  std::map<int64_t, std::map<int64_t, int64_t>> events;  // by rank and lane
  for (const Json& event : trace["traceEvents"]) {
    if (event["ph"] == "X") ++events[event["pid"].get<int64_t>()][event["tid"].get<int64_t>()];
  }
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0], events[1]);
  for (const Json& phase : result["phases"]) {
    for (const Json& rank : phase["ranks"]) {
      EXPECT_GT(rank["modules_ns"]["attention"], 0);
      EXPECT_GT(rank["modules_ns"]["reductions"], 0);
    }
    EXPECT_LT(phase["wall_ns"], 10'000'000'000);
  }
}

// Heat that disagrees with the rows that were planned is an error of its own.
TEST_F(GpuRankViewsTest, HeatIsThatOfAllGroups) {
  const std::string words =
      fmt::format("eval balance {} --text {} --max-tokens 200 --window 30 --output-len 5 --json",
                  fairytale_folder(), BRAID_SOURCE_DIR "/tests/data/tales/three_lamps.txt");
  for (const char* layout : {"--tp 2 --ep 2", "--dp 2"}) {
    const Json gpu = parse_json(run(fmt::format("{} --device cuda {}", words, layout)), "").value();
    const Json cpu = parse_json(run(fmt::format("{} {}", words, layout)), "").value();
    EXPECT_EQ(gpu["prefill"]["rows"], 200);
    EXPECT_NEAR(gpu["prefill"]["balancedness"].get<double>(),
                cpu["prefill"]["balancedness"].get<double>(), 0.05);
  }
}

TEST_F(GpuRankViewsTest, RunsWithDelaysEqualSerialExecution) {
  for (const char* layout : {"", "--tp 2", "--dp 2"}) {
    const Json result =
        parse_json(run(fmt::format("verify {} --device cuda --delays 3 --max-running-requests 2 "
                                   "--chunked-prefill-size 16 --json {}",
                                   fairytale_folder(), layout)),
                   "result")
            .value();
    EXPECT_EQ(result["equal_runs"], 3) << layout;
  }
}

// One request's rows, as they are and quantized, in one chunk and in several; the other rank has
// padding alone.
TEST_F(GpuModelsTest, RowsThatAreSentHaveTheBitsOfAGather) {
  if (!ranks::free_gpu_memory(1).ok()) GTEST_SKIP() << "fewer than two GPUs";
  const std::string folder = make_temp_folder();
  std::ofstream(folder + "/ids.json") << "[1, 5, 9, 200, 33, 47, 1000, 18, 77, 3, 4, 90]";
  const auto logits = [&](const std::string& more) {
    const std::string command = fmt::format(
        "{} eval logits {} --device cuda --dp 2 --dtype bfloat16 --input-ids {}/ids.json --output "
        "{}/logits --quiet {}",
        BRAID_PROGRAM, fairytale_folder(), folder, folder, more);
    EXPECT_EQ(std::system(command.c_str()), 0) << command;
    return logits_in(folder + "/logits");
  };
  for (const char* more : {"", "--dispatch-dtype fp8", "--dispatch-dtype nvfp4",
                           "--dual-stream on --expert-heat on", "--chunked-prefill-size 8"}) {
    const auto gathered = logits(fmt::format("--dispatch gather {}", more));
    const auto sent = logits(fmt::format("--dispatch all-to-all {}", more));
    EXPECT_TRUE(same_bytes(sent, gathered)) << more;
  }
}

TEST_F(GpuModelsTest, WhatHasNoKernelIsRefusedByName) {
  const Ran ran = run_braid({"generate", fairytale_folder(), "--prompt", "Once", "--device", "cuda",
                             "--dtype", "float32"});
  EXPECT_EQ(ran.code, 1);
  EXPECT_NE(ran.err.find("computes on bf16 only (format = f32)"), std::string::npos) << ran.err;
}

}  // namespace
}  // namespace braid::testing

// Whole models on a GPU, against the CPU in bfloat16 with the same experts chosen.
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>

#include "engine/backend.h"
#include "model/safetensors.h"
#include "support/checkpoint_copy.h"
#include "support/command.h"
#include "support/models.h"
#include "support/prompt.h"

namespace braid::testing {
namespace {

constexpr double kLogitError = 2e-2;  // relative, of all logits together

std::vector<float> logits_in(const std::string& path) {
  const auto file = model::SafetensorsFile::open(path);
  const model::TensorView* view = file->find("logits");
  std::vector<float> values(view->bytes.size() / sizeof(float));
  std::memcpy(values.data(), view->bytes.data(), view->bytes.size());
  return values;
}

class GpuModelsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!engine::free_gpu_memory(0).ok()) GTEST_SKIP() << "no GPU";
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

TEST_F(GpuModelsTest, WhatHasNoKernelIsRefusedByName) {
  const Ran ran = run_braid({"generate", fairytale_folder(), "--prompt", "Once", "--device", "cuda",
                             "--dtype", "float32"});
  EXPECT_EQ(ran.code, 1);
  EXPECT_NE(ran.err.find("gemm"), std::string::npos) << ran.err;
}

}  // namespace
}  // namespace braid::testing

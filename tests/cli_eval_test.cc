// braid eval logits and braid eval perplexity, end to end.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "lab/evaluate.h"
#include "model/safetensors.h"
#include "model/testing.h"
#include "ranks/log_likelihood.h"
#include "support/command.h"
#include "support/models.h"
#include "text/tokenizer.h"

namespace braid::testing {
namespace {

const char* const kText = BRAID_SOURCE_DIR "/models/fairytale-moe/reference.json";

template <typename T>
std::vector<T> read_tensor(const std::string& path, const std::string& name) {
  const auto file = std::move(model::SafetensorsFile::open(path)).value();
  const model::StoredTensor* tensor = file.find(name);
  BRAID_CHECK(tensor != nullptr, "({} in {})", name, path);
  std::vector<T> values(static_cast<size_t>(tensor->bytes) / sizeof(T));
  BRAID_CHECK(tensor->read(0, std::as_writable_bytes(std::span(values))).ok(), "({})", path);
  return values;
}

float largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  float most = 0;
  for (size_t i = 0; i < a.size(); ++i) most = std::max(most, std::abs(a[i] - b[i]));
  return most;
}

// Runs eval logits on a golden's ids; the path of what it wrote.
std::string eval_golden(const TempFolder& folder, const std::string& name,
                        std::vector<std::string> more) {
  folder.write("ids.json", Json(golden_ids(name, "input_ids")).dump());
  std::string output = folder.file("out.safetensors");
  more.insert(more.begin(), {"eval", "logits", "--model", golden_folder(name), "--input-ids",
                             folder.file("ids.json"), "--output", output});
  const Ran ran = run_braid(more);
  EXPECT_EQ(ran.code, 0) << ran.err;
  return output;
}

TEST(CliEvalLogitsTest, GoldenLogitsWithForcedRouting) {
  const TempFolder folder;
  for (const std::string name :
       {"deepseek_v2", "deepseek_v3", "deepseek_v3_fp8_block", "glm4_moe", "glm4_moe_fp8_block",
        "glm4_moe_nvfp4", "mixtral", "mixtral_fp8_tensor", "qwen3_moe", "qwen3_moe_fp8_channel"}) {
    const std::string golden = golden_folder(name) + "/golden.safetensors";
    const std::string out =
        eval_golden(folder, name, {"--with-routing", "--force-routing", golden});
    EXPECT_LE(largest_difference(read_tensor<float>(out, "logits"), golden_floats(name, "logits")),
              1e-4f)
        << name;
    EXPECT_EQ(read_tensor<int64_t>(out, "experts.1"), read_tensor<int64_t>(golden, "experts.1"));
    EXPECT_LE(largest_difference(read_tensor<float>(out, "expert_weights.1"),
                                 read_tensor<float>(golden, "expert_weights.1")),
              1e-5f)
        << name;
  }
}

TEST(CliEvalLogitsTest, ForcedRoutingChangesWhatIsComputed) {
  const TempFolder folder;
  const std::string name = "mixtral";
  std::vector<int64_t> experts(96 * 2);
  for (size_t i = 0; i < experts.size(); ++i) experts[i] = static_cast<int64_t>(i % 2);
  const std::vector tensors = {
      model::testing::view_of("experts.0", model::StorageType::i64, {96, 2}, experts),
      model::testing::view_of("experts.1", model::StorageType::i64, {96, 2}, experts)};
  const std::string forced = folder.file("forced.safetensors");
  ASSERT_TRUE(model::write_safetensors(forced, tensors).ok());
  const std::string out = eval_golden(folder, name, {"--with-routing", "--force-routing", forced});
  EXPECT_EQ(read_tensor<int64_t>(out, "experts.0"), experts);
  EXPECT_GT(largest_difference(read_tensor<float>(out, "logits"), golden_floats(name, "logits")),
            1e-3f);
}

TEST(CliEvalLogitsTest, ChunksGiveTheSameBits) {
  const TempFolder whole;
  const std::vector<std::string> options = {"--with-routing"};
  const std::string file = eval_golden(whole, "glm4_moe", options);
  const auto logits = read_tensor<float>(file, "logits");
  const auto experts = read_tensor<int64_t>(file, "experts.2");
  for (const char* chunk : {"1", "17", "64"}) {
    const std::string out = eval_golden(
        whole, "glm4_moe", {"--with-routing", "--chunked-prefill-size", chunk, "--page-size", "5"});
    EXPECT_EQ(read_tensor<float>(out, "logits"), logits) << chunk;
    EXPECT_EQ(read_tensor<int64_t>(out, "experts.2"), experts) << chunk;
  }
}

TEST(CliEvalLogitsTest, TheWholeContextFits) {
  const TempFolder folder;
  folder.write("ids.json", Json(std::vector<int>(64, 5)).dump());
  const std::vector<std::string> arguments = {"eval",
                                              "logits",
                                              golden_folder("qwen2"),
                                              "--input-ids",
                                              folder.file("ids.json"),
                                              "--output",
                                              folder.file("o.safetensors"),
                                              "--context-length"};
  std::vector<std::string> fits = arguments;
  fits.emplace_back("64");
  fits.emplace_back("--json");
  const Ran ran = run_braid(fits);
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.json()["tokens"], 64);
  std::vector<std::string> too_short = arguments;
  too_short.emplace_back("63");
  const Ran refused = run_braid(too_short);
  EXPECT_EQ(refused.code, 2);
  EXPECT_NE(refused.err.find("do not fit into the context (tokens = 64"), std::string::npos);
}

TEST(CliEvalLogitsTest, DummyWeightsNeedNothingButTheConfiguration) {
  const TempFolder folder;
  std::filesystem::copy_file(golden_folder("deepseek_v2") + "/config.json",
                             folder.file("config.json"));
  folder.write("ids.json", "[1, 2, 3]");
  const Ran ran = run_braid({"eval", "logits", folder.path(), "--load-format", "dummy", "--routing",
                             "balanced", "--input-ids", folder.file("ids.json"), "--output",
                             folder.file("o.safetensors"), "--with-routing"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const auto experts = read_tensor<int64_t>(folder.file("o.safetensors"), "experts.1");
  EXPECT_EQ(experts.size(), 3u * 4);
  for (size_t i = 1; i < 4; ++i) EXPECT_EQ(experts[i], experts[0] + static_cast<int64_t>(i));
}

// Windows of 20 and a rest, computed here from the logits of each window.
TEST(CliEvalPerplexityTest, EachWindowStartsAnew) {
  const TempFolder folder;
  const auto tokenizer = text::Tokenizer::load(fairytale_folder()).value();
  const std::string content = read_file(kText).value().substr(0, 400);
  folder.write("text.txt", content);
  const auto ids = tokenizer.encode(content, false).value();
  start::EngineOptions options{.context_length = 20, .max_running = 1};
  options.worker.model.probes.all_logits = true;
  const auto engine = open_engine(fairytale_folder(), options);
  double total = 0;
  for (size_t first = 0; first + 1 < ids.size(); first += 20) {
    const size_t size = std::min<size_t>(20, ids.size() - 1 - first);
    const auto logits = lab::evaluate_logits(*engine, {&ids[first], size}).value();
    const auto vocab = static_cast<size_t>(logits.vocab_size);
    for (size_t i = 0; i < size; ++i) {
      total +=
          ranks::negative_log_likelihood({&logits.values[i * vocab], vocab}, ids[first + i + 1]);
    }
  }
  const Ran ran = run_braid({"eval", "perplexity", fairytale_folder(), "--text",
                             folder.file("text.txt"), "--window", "20", "--json"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.json()["tokens"], ids.size() - 1);
  EXPECT_NE((ids.size() - 1) % 20, 0u);  // the last window is shorter
  EXPECT_NEAR(ran.json()["mean_nll"].get<double>(), total / static_cast<double>(ids.size() - 1),
              1e-9);
}

TEST(CliEvalPerplexityTest, RefusesWhatCannotBeScored) {
  const TempFolder folder;
  folder.write("short.txt", "a");
  const Ran empty =
      run_braid({"eval", "perplexity", fairytale_folder(), "--text", folder.file("short.txt")});
  EXPECT_EQ(empty.code, 2);
  EXPECT_NE(empty.err.find("the text is too short"), std::string::npos) << empty.err;
  const Ran wide =
      run_braid({"eval", "perplexity", fairytale_folder(), "--text", kText, "--window", "2049"});
  EXPECT_EQ(wide.code, 2);
  EXPECT_NE(wide.err.find("the window is longer than the context"), std::string::npos) << wide.err;
}

}  // namespace
}  // namespace braid::testing

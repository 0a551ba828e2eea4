// Bad input: one clear sentence with its values, the right exit code, never a crash.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "model/safetensors.h"
#include "model/testing.h"
#include "support/command.h"
#include "support/models.h"

namespace braid::testing {
namespace {

// A command that ends with this exit code, and these parts in its one line of error.
struct BadCase {
  std::vector<std::string> arguments;
  int code;
  std::vector<std::string> parts;
  Surroundings around = {};
};

void expect_refused(const BadCase& bad) {
  const Ran ran = run_braid(bad.arguments, bad.around);
  const std::string command = fmt::format("{}", fmt::join(bad.arguments, " "));
  EXPECT_EQ(ran.code, bad.code) << command << "\n" << ran.err;
  EXPECT_EQ(ran.out, "") << command;
  const size_t at = ran.err.find("braid: error: ");
  ASSERT_NE(at, std::string::npos) << command << "\n" << ran.err;
  const std::string error = ran.err.substr(at);
  EXPECT_EQ(error.find('\n'), error.size() - 1) << error;  // one line, the last one
  for (const std::string& part : bad.parts) {
    EXPECT_NE(error.find(part), std::string::npos) << part << "\n" << error;
  }
}

std::vector<std::string> generate(const std::vector<std::string>& more) {
  std::vector<std::string> arguments = {"generate", fairytale_folder()};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

TEST(CliErrorsTest, CommandLines) {
  for (const BadCase& bad : std::vector<BadCase>{
           {{}, 2, {"a command is missing", "braid help"}},
           {{"generat"}, 2, {"unknown command", "'generat'", "Did you mean braid generate?"}},
           {{"latency", "model"}, 2, {"Did you mean braid bench latency?"}},
           {{"bench"}, 2, {"a command is missing", "Commands: bench throughput, bench latency, "}},
           {{"help", "verfy"}, 2, {"Did you mean braid verify?"}},
           {generate({"-q"}), 2, {"unknown option", "Did you mean --quiet?"}},
           {generate({"-t"}), 2, {"unknown option", "(option = -t). braid generate --help-all"}},
           {generate({"--n", "3"}), 2, {"(option = --n). braid generate --help-all lists all."}},
           {{"generate"}, 2, {"--model is missing"}},
           {generate({"--promt", "x"}), 2, {"unknown option", "Did you mean --prompt?"}},
           {generate({"--temperature", "hot"}), 2, {"'hot'", "a number from 0 to 100"}},
           {generate({"--tensor-parallel-size", "3"}), 2, {"nearest layout is --tp 4 --ep 1"}},
           {generate({"--prompt", "x", "--routing", "balanced"}), 2, {"needs --load-format dummy"}},
           {{"eval", "logits", "x", "--output", "y"}, 2, {"--input-ids is missing"}},
           {generate({"--prompt", "x"}),
            2,
            {"--seed does not take this value (value = 'many', from = environment BRAID_SEED)"},
            {.environment = {{"BRAID_SEED", "many"}}}},
       }) {
    expect_refused(bad);
  }
}

TEST(CliErrorsTest, HelpAndVersionAreNoErrors) {
  EXPECT_EQ(run_braid({"--version"}).out, "braid 0.1.0\n");
  EXPECT_EQ(run_braid({"version"}).out, "braid 0.1.0\n");
  const std::string brief = run_braid({"help", "generate"}).out;
  EXPECT_EQ(brief, run_braid({"generate", "--help"}).out);
  EXPECT_NE(brief.find("more options: braid generate --help-all"), std::string::npos) << brief;
  EXPECT_LT(std::count(brief.begin(), brief.end(), '\n'), 60);
  EXPECT_NE(run_braid({"generate", "--help-all"}).out.find("--kv-blocks"), std::string::npos);
  EXPECT_EQ(brief.find("--kv-blocks"), std::string::npos);
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"--help"},
                                             {"help"},
                                             {"eval", "--help"},
                                             {"help", "eval"},
                                             {"help", "bench", "layer"},
                                             {"verify", "-h"},
                                             {"verify", "--help-all"}}) {
    const Ran ran = run_braid(arguments);
    EXPECT_EQ(ran.code, 0);
    EXPECT_NE(ran.out.find("Usage: braid "), std::string::npos);
    EXPECT_EQ(ran.err, "");
  }
}

TEST(CliErrorsTest, ModelFolders) {
  const TempFolder folder;
  folder.write("file", "x");
  const std::string config = read_file(fairytale_folder() + "/config.json").value();
  const auto overridden = [](const std::string& json) {
    return generate({"--prompt", "x", "--json-model-override-args", json});
  };
  for (const BadCase& bad : std::vector<BadCase>{
           {{"generate", "zai-org/GLM-4.5-Air", "--prompt", "x"},
            1,
            {"there is no such model folder", "download zai-org/GLM-4.5-Air"}},
           {{"generate", "/no/such/folder", "--prompt", "x"}, 1, {"no such model folder"}},
           {{"generate", folder.file("file"), "--prompt", "x"}, 1, {"the model is a file"}},
           {{"generate", folder.path(), "--prompt", "x"}, 1, {"no config.json"}},
           {{"generate", golden_folder("glm4_moe"), "--prompt", "x"}, 1, {"no tokenizer.json"}},
           {overridden(R"({"architectures": ["MambaForCausalLM"]})"), 1, {"MambaForCausalLM"}},
           {overridden(R"({"quantization_config": {"quant_method": "awq"}})"), 1, {"awq"}},
           {overridden(R"({"hidden_size": -1})"), 1, {"hidden_size"}},
           {overridden("{"), 2, {"json-model-override-args"}},
       }) {
    expect_refused(bad);
  }
}

TEST(CliErrorsTest, Prompts) {
  const TempFolder folder;
  const std::string context = "do not fit into the context";
  for (const BadCase& bad : std::vector<BadCase>{
           {generate({"--prompt", ""}), 2, {"the prompt is empty"}},
           {generate({}), 2, {"the prompt is empty"}},
           {generate({"--prompt", "x", "--prompt-file", "y"}), 2, {"are both given"}},
           {generate({"--prompt-file", folder.file("none")}), 1, {"cannot open file"}},
           {generate({"--prompt", "x", "--stop", ""}), 2, {"--stop is empty"}},
           {generate({"--prompt", "The little mermaid", "--context-length", "4"}),
            2,
            {context, "prompt tokens = 4", "Shorten the prompt"}},
           {generate({"--prompt", "The little mermaid", "--max-tokens", "2045"}),
            2,
            {context, "--max-tokens to 2044 or less"}},
           {generate({"--prompt", "x", "--context-length", "2049"}),
            2,
            {"longer than the model's positions", "2048"}},
           {{"chat", fairytale_folder(), "--context-length", "4"},
            2,
            {context, "start a new one"},
            {.in = "Once upon a time\n"}},
       }) {
    expect_refused(bad);
  }
}

TEST(CliErrorsTest, InputIds) {
  const TempFolder folder;
  const std::string ids = folder.file("ids.json");
  const std::vector<std::string> arguments = {
      "eval", "logits",   golden_folder("qwen2"),        "--input-ids",
      ids,    "--output", folder.file("out.safetensors")};
  expect_refused({arguments, 1, {"cannot open file", "ids.json"}});
  for (const auto& [content, code, part] : std::vector<std::tuple<std::string, int, std::string>>{
           {"[1, 2", 1, "not valid JSON"},
           {"{\"ids\": [1]}", 2, "no JSON array of token ids"},
           {"[]", 2, "no JSON array of token ids"},
           {"[1, 512]", 2, "an item is no token id of the model (--input-ids = "},
           {"[1, -1]", 2, "index = 1, item = -1, vocab_size = 512"},
           {"[1.5]", 2, "item = 1.5"},
           {"[99999999999999999999]", 2, "an item is no token id"},
           {"[\"a\"]", 2, "item = \"a\""}}) {
    folder.write("ids.json", content);
    expect_refused({arguments, code, {part}});
  }
  folder.write("ids.json", "[1]");
  std::vector<std::string> unwritable = arguments;
  unwritable.back() = folder.file("no/folder/out.safetensors");
  expect_refused({unwritable, 1, {"no/folder/out.safetensors"}});
  std::vector<std::string> no_routing = arguments;
  no_routing.insert(no_routing.end(), {"--force-routing", folder.file("none")});
  expect_refused({no_routing, 1, {"none"}});
}

// Copies a golden model, to be damaged.
void copy_golden(const std::string& name, const TempFolder& folder) {
  for (const char* file : {"config.json", "model.safetensors"}) {
    std::filesystem::copy_file(golden_folder(name) + "/" + file, folder.file(file),
                               std::filesystem::copy_options::overwrite_existing);
  }
}

// Writes the folder's tensors anew, with one of them replaced.
void replace_tensor(const TempFolder& folder, const model::TensorView& replacement) {
  const auto file =
      std::move(model::SafetensorsFile::open(folder.file("model.safetensors"))).value();
  std::vector<std::vector<std::byte>> bytes;
  std::vector<model::TensorView> tensors;
  for (const model::StoredTensor& tensor : file.tensors()) {
    bytes.push_back(tensor.read().value());
    tensors.push_back({tensor.name, tensor.type, tensor.shape, bytes.back()});
    if (tensor.name == replacement.name) tensors.back() = replacement;
  }
  ASSERT_TRUE(model::write_safetensors(folder.file("model.safetensors"), tensors).ok());
}

TEST(CliErrorsTest, DamagedCheckpoints) {
  const TempFolder folder;
  folder.write("ids.json", "[1]");
  std::vector<std::string> arguments = {
      "eval",     "logits",        folder.path(), "--input-ids", folder.file("ids.json"),
      "--output", folder.file("o")};
  copy_golden("qwen2", folder);
  const std::string norm = "model.norm.weight";  // [128]
  const std::vector<int32_t> integers(128);
  replace_tensor(folder, model::testing::view_of(norm, model::StorageType::i32, {128}, integers));
  expect_refused({arguments, 1, {norm, "I32"}});

  copy_golden("qwen2", folder);
  const std::vector<float> narrow(64);
  replace_tensor(folder, model::testing::view_of(norm, model::StorageType::f32, {64}, narrow));
  expect_refused({arguments, 1, {norm, "[64]"}});

  copy_golden("qwen2", folder);
  std::vector<float> broken(128, 1);
  broken[77] = NAN;
  replace_tensor(folder, model::testing::view_of(norm, model::StorageType::f32, {128}, broken));
  EXPECT_EQ(run_braid(arguments).code, 0);  // no check was asked for
  arguments.push_back("--check-weights");
  expect_refused({arguments, 1, {"a weight is not a finite number", norm, "value = nan"}});

  copy_golden("qwen2", folder);
  std::filesystem::resize_file(folder.file("model.safetensors"), 100'000);
  expect_refused({arguments, 1, {"model.safetensors", "Download"}});
  std::filesystem::remove(folder.file("model.safetensors"));
  expect_refused({arguments, 1, {"model.safetensors"}});
}

TEST(CliErrorsTest, ATruncatedOrMissingShard) {
  const TempFolder folder;
  for (const auto& entry : std::filesystem::directory_iterator(golden_folder("qwen3_moe"))) {
    std::filesystem::copy_file(entry.path(), folder.file(entry.path().filename().string()));
  }
  folder.write("ids.json", "[1]");
  const std::vector<std::string> arguments = {
      "eval",     "logits",        folder.path(), "--input-ids", folder.file("ids.json"),
      "--output", folder.file("o")};
  const std::string shard = "model-00002-of-00003.safetensors";
  std::filesystem::resize_file(folder.file(shard), 1'000'000);
  expect_refused({arguments, 1, {shard, "Download"}});
  std::filesystem::remove(folder.file(shard));
  expect_refused({arguments, 1, {"a shard that the index names is missing", shard}});
}

TEST(CliErrorsTest, TooLittleMemoryPrintsTheBudgetBeforeAllocating) {
  const Ran ran =
      run_braid({"bench", "latency", golden_folder("glm4_moe"), "--load-format", "dummy", "--quiet",
                 "--kv-blocks", "100000000", "--input-len", "8", "--output-len", "8"});
  EXPECT_EQ(ran.code, 1);
  EXPECT_EQ(ran.err.rfind("memory\n  weights ", 0), 0u) << ran.err;
  EXPECT_NE(ran.err.find("tokens in 100000000 blocks"), std::string::npos);
  EXPECT_NE(ran.err.find("braid: error: the engine does not fit into the memory (total = "),
            std::string::npos);
  EXPECT_NE(ran.err.find("Lower --kv-blocks to "), std::string::npos);
}

}  // namespace
}  // namespace braid::testing

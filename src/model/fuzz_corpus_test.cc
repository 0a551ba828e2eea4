// Replays what the fuzzers once found interesting.
#include "model/fuzz_entries.h"
#include "model/testing.h"

namespace braid::model {
namespace {

std::vector<std::string> corpus(std::string_view name) {
  std::vector<std::string> inputs;
  for (const auto& file : std::filesystem::directory_iterator(
           testing::source_path("tests/corpus/" + std::string(name)))) {
    inputs.push_back(*read_file(file.path().string()));
  }
  return inputs;
}

TEST(FuzzCorpusTest, Safetensors) {
  const auto inputs = corpus("safetensors");
  EXPECT_GE(inputs.size(), 5u);
  int accepted = 0;
  for (const std::string& input : inputs) {
    fuzz_safetensors(testing::as_bytes(input));
    accepted += parse_safetensors(testing::as_bytes(input), std::ssize(input), "corpus").ok();
  }
  EXPECT_GT(accepted, 0);  // the seeds reach what comes after the parser
}

TEST(FuzzCorpusTest, Config) {
  const auto inputs = corpus("config");
  EXPECT_GE(inputs.size(), 5u);
  int accepted = 0;
  for (const std::string& input : inputs) {
    fuzz_config(input);
    const auto json = parse_json(input, "corpus");
    accepted += json.ok() && parse_config(*json).ok();
  }
  EXPECT_GT(accepted, 0);
}

}  // namespace
}  // namespace braid::model

// Replays the fuzzer's corpus, tests/corpus/template: inputs that once failed, and a small set
// that reaches most of the engine.
#include <gtest/gtest.h>

#include <filesystem>

#include "base/json.h"
#include "text/template/template_fuzz.h"

namespace braid::text {
namespace {

TEST(TemplateCorpusTest, EveryInputEndsInATextOrAnError) {
  int inputs = 0;
  const std::string folder = std::string(BRAID_SOURCE_DIR) + "/tests/corpus/template";
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const Result<std::string> source = read_file(entry.path().string());
    ASSERT_TRUE(source.ok()) << source.status().to_string();
    fuzz_template(*source);
    ++inputs;
  }
  EXPECT_GE(inputs, 20);
}

}  // namespace
}  // namespace braid::text

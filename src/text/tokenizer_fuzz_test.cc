// Replays the fuzz target's corpus, so that what it found once stays found.
#include "text/tokenizer_fuzz_entry.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/json.h"

namespace braid::text {
namespace {

TEST(TokenizerFuzzTest, ReplaysTheCorpus) {
  int inputs = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(BRAID_SOURCE_DIR "/tests/corpus/tokenizer")) {
    const std::string input = *read_file(entry.path().string());
    SCOPED_TRACE(entry.path().string());
    fuzz_tokenizer_json(reinterpret_cast<const uint8_t*>(input.data()), input.size());
    ++inputs;
  }
  EXPECT_GE(inputs, 30);
}

TEST(TokenizerFuzzTest, TakesAnyLength) {
  const uint8_t bytes[] = {0xff, 0xff, '{', '}'};
  for (size_t size = 0; size <= sizeof(bytes); ++size) fuzz_tokenizer_json(bytes, size);
}

}  // namespace
}  // namespace braid::text

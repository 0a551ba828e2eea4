// The bundled model against its reference.json: greedy continuations, and how fast it decodes.
#include <gtest/gtest.h>

#include "base/json.h"
#include "support/models.h"

namespace braid::testing {
namespace {

start::EngineOptions plain_options() {
  return {.context_length = 1024, .max_running = 4, .chunked_prefill_size = 256, .page_size = 16};
}

TEST(FairytaleTest, GreedyContinuationsAreTheReferences) {
  const Json reference = read_json_file(fairytale_folder() + "/reference.json").value();
  const auto engine = open_engine(fairytale_folder(), plain_options());
  std::map<engine::RequestId, std::vector<int32_t>> expected;
  for (const Json& greedy : reference["greedy"]) {
    const auto ids = greedy["ids"].get<std::vector<int32_t>>();
    const auto request = engine->submit({.prompt = greedy["prompt_ids"].get<std::vector<int32_t>>(),
                                         .max_tokens = static_cast<int32_t>(ids.size())});
    expected[request.value()] = ids;
  }
  ASSERT_EQ(expected.size(), 3u);
  EXPECT_EQ(run_to_end(*engine), expected);  // batched together, each as if alone
}

}  // namespace
}  // namespace braid::testing

#include "engine/text_generation.h"

#include <gtest/gtest.h>

namespace braid::engine {
namespace {

TEST(TextResultTest, RatesLeaveTheFirstTokenToThePrefill) {
  const TextResult result{
      .ids = {1, 2, 3, 4, 5}, .prompt_tokens = 20, .prefill_seconds = 0.5, .decode_seconds = 2};
  EXPECT_DOUBLE_EQ(result.prefill_rate(), 40);
  EXPECT_DOUBLE_EQ(result.decode_rate(), 2);
  EXPECT_EQ(TextResult{}.prefill_rate(), 0);
  EXPECT_EQ((TextResult{.ids = {1}, .prefill_seconds = 1}.decode_rate()), 0);
}

}  // namespace
}  // namespace braid::engine

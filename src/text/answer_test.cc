#include "text/answer.h"

#include <gtest/gtest.h>

namespace braid::text {
namespace {

// "x", " y" and a special token that is named <end>.
Tokenizer tokenizer() {
  return *Tokenizer::from_json(
      R"({"model": {"type": "BPE", "merges": [], "vocab": {"x": 0, "Ġy": 1, "ä": 2, "½": 3}},
          "decoder": {"type": "ByteLevel"},
          "added_tokens": [{"id": 9, "content": "<end>", "special": true}]})",
      "test");
}

// What each token gives, the last one being what ends the answer, and what the end gives.
std::string parts(const AnswerOptions& options, const std::vector<int32_t>& ids,
                  std::optional<int32_t> stop = {}) {
  Answer answer(tokenizer(), options);
  std::string text;
  for (const int32_t id : ids) text += answer.append(id) + "|";
  if (stop) text += answer.append_stop(*stop) + "|";
  return text + answer.finish();
}

TEST(AnswerTest, StopTokensAndSpecialTokensHaveNoText) {
  EXPECT_EQ(parts({}, {0, 1, 9, 0}, 9), "x| y||x||");
  EXPECT_EQ(parts({}, {0}, 1), "x||");
}

TEST(AnswerTest, UnlessTheyAreWanted) {
  EXPECT_EQ(parts({.includes_stop = true}, {0}, 9), "x|<end>|");
  EXPECT_EQ(parts({.includes_stop = true}, {0}, 1), "x| y|");
  EXPECT_EQ(parts({.skips_special = false}, {0, 9}), "x|<end>|");
}

TEST(AnswerTest, StopsBeforeOrBehindAText) {
  EXPECT_EQ(parts({.stops = {"x y"}}, {1, 0, 1, 0}), " y||||");
  EXPECT_EQ(parts({.stops = {"x y"}, .includes_stop = true}, {1, 0, 1, 0}), " y||x y||");
  EXPECT_EQ(parts({.stops = {"y<end>"}}, {0, 1, 9, 0}), "x| |||");
}

TEST(AnswerTest, TheEndGivesWhatWasHeldBack) {
  EXPECT_EQ(parts({.stops = {"x y"}}, {0}), "|x");
  EXPECT_EQ(parts({}, {2}), "|\ufffd");
}

}  // namespace
}  // namespace braid::text

#include "text/text_stream.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace braid::text {
namespace {

Tokenizer tokenizer(std::string_view decoder) {
  const std::string json = fmt::format(
      R"({{"model": {{"type": "BPE", "merges": [], "vocab": {{"ä": 0, "½": 1, "ł": 2, "x": 3,
           "▁x": 4, "<0xE4>": 5, "<0xBD>": 6, "<0xA0>": 7}}}}, "decoder": {},
           "added_tokens": [{{"id": 9, "content": "<s>", "special": true}}]}})",
      decoder);
  return *Tokenizer::from_json(json, "test");
}

// What each id gives, and what the end gives.
std::vector<std::string> parts(const Tokenizer& tokenizer, const std::vector<int32_t>& ids,
                               bool skip_special = false) {
  TextStream stream(tokenizer, skip_special);
  std::vector<std::string> texts;
  for (const int32_t id : ids) texts.push_back(stream.append(id));
  texts.push_back(stream.finish());
  return texts;
}

using Strings = std::vector<std::string>;

TEST(TextStreamTest, HoldsACharacterUntilItIsWhole) {
  const Tokenizer t = tokenizer(R"({"type": "ByteLevel"})");
  EXPECT_EQ(parts(t, {0, 1, 2, 3}), (Strings{"", "", "你", "x", ""}));
  EXPECT_EQ(parts(t, {0, 1, 3}), (Strings{"", "", "\ufffdx", ""}));
  EXPECT_EQ(parts(t, {3, 0, 1}), (Strings{"x", "", "", "\ufffd"}));
  EXPECT_EQ(parts(t, {2}), (Strings{"\ufffd", ""}));
}

TEST(TextStreamTest, HoldsARunOfBytesUntilItEnds) {
  const Tokenizer t = tokenizer(R"({"type": "Sequence", "decoders": [
      {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
      {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]})");
  EXPECT_EQ(parts(t, {4, 5, 6, 7, 4}), (Strings{"x", "", "", "", "你 x", ""}));
  EXPECT_EQ(parts(t, {5, 6, 7}), (Strings{"", "", "", "你"}));
  EXPECT_EQ(parts(t, {5, 6, 4}), (Strings{"", "", "\ufffd\ufffd x", ""}));
}

TEST(TextStreamTest, SkipsSpecialAndUnknownIds) {
  const Tokenizer t = tokenizer(R"({"type": "ByteLevel"})");
  EXPECT_EQ(parts(t, {3, 9, -1, 8, 1000000, 3}, true), (Strings{"x", "", "", "", "", "x", ""}));
  EXPECT_EQ(parts(t, {3, 9}), (Strings{"x", "<s>", ""}));
}

TEST(TextStreamTest, TellsTheTextThatItSkips) {
  const Tokenizer t = tokenizer(R"({"type": "ByteLevel"})");
  const TextStream skipping(t, /*skip_special=*/true);
  EXPECT_EQ(skipping.skipped_text(9), "<s>");
  for (const int32_t id : {3, 8, -1, 1000000}) EXPECT_EQ(skipping.skipped_text(id), "") << id;
  EXPECT_EQ(TextStream(t, /*skip_special=*/false).skipped_text(9), "");
}

TEST(TextStreamTest, OutlivesItsTokenizer) {
  auto t = std::make_unique<Tokenizer>(tokenizer("null"));
  TextStream stream(*t, false);
  t.reset();
  EXPECT_EQ(stream.append(3), "x");
  EXPECT_EQ(stream.append(3), " x");
  EXPECT_EQ(stream.finish(), "");
}

}  // namespace
}  // namespace braid::text

#include "ranks/step_message.h"

#include <gtest/gtest.h>

namespace braid::ranks {
namespace {

StepMessage two_groups() {
  return {.step = (int64_t{3} << 32) + 7,
          .waits_first = false,
          .shapes = {{{1, 2}, {3, 4}}, {{5, 0}, {6, 8}}},
          .words = {{10, -11, 12}, {}}};
}

TEST(StepMessageTest, ComesBackAsItWas) {
  const StepMessage message = two_groups();
  const StepMessage back = StepMessage::from_bytes(message.to_bytes(), 2).value();
  EXPECT_EQ(back.step, message.step);
  EXPECT_EQ(back.waits_first, message.waits_first);
  EXPECT_EQ(back.shapes, message.shapes);
  EXPECT_EQ(back.words, message.words);
}

TEST(StepMessageTest, NonsenseIsRefused) {
  const std::string bytes = two_groups().to_bytes();
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(StepMessage::from_bytes(bytes.substr(0, size), 2).ok()) << size;
  }
  EXPECT_FALSE(StepMessage::from_bytes(bytes + "more", 2).ok());
  EXPECT_FALSE(StepMessage::from_bytes(bytes, 3).ok());
  // Behind three words of the whole step: the first group's kind of sampling, its number of words.
  for (const size_t word : {4, 5}) {
    std::string wild = bytes;
    wild[12 + word * 4 + 3] = '\x7f';
    EXPECT_FALSE(StepMessage::from_bytes(wild, 2).ok()) << word;
  }
}

}  // namespace
}  // namespace braid::ranks

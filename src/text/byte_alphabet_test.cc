#include "text/byte_alphabet.h"

#include <gtest/gtest.h>

#include <set>

namespace braid::text {
namespace {

std::string written(std::string_view text) {
  std::string result;
  append_in_byte_alphabet(result, text);
  return result;
}

TEST(ByteAlphabetTest, KnownCharacters) {
  EXPECT_EQ(written("a b\n"), "aĠbĊ");
  EXPECT_EQ(written("é"), "Ã©");
  EXPECT_EQ(written(std::string_view("\0\x7f\x80\xa0\xad\xff", 6)), "ĀġĢłŃÿ");
}

TEST(ByteAlphabetTest, IsOneToOne) {
  std::set<std::string> seen;
  for (int byte = 0; byte < 256; ++byte) {
    const std::string bytes(1, static_cast<char>(byte));
    EXPECT_TRUE(seen.insert(written(bytes)).second) << byte;
    EXPECT_EQ(from_byte_alphabet(written(bytes)), bytes);
  }
}

TEST(ByteAlphabetTest, TellsOtherCharacters) {
  EXPECT_EQ(from_byte_alphabet("Ġa"), " a");
  EXPECT_EQ(from_byte_alphabet(""), "");
  for (const std::string_view other : {" ", "a b", "ń", "▁", "你", "\u00ad"}) {
    EXPECT_EQ(from_byte_alphabet(other), std::nullopt) << other;
  }
}

}  // namespace
}  // namespace braid::text

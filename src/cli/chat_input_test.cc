#include "cli/chat_input.h"

#include <gtest/gtest.h>

#include <sstream>
#include <vector>

namespace braid::cli {
namespace {

struct Said {
  std::vector<std::string> messages;
  std::string shown;
};

Said messages_of(const std::string& typed, bool is_terminal, bool quiet = false) {
  std::istringstream in(typed);
  Said said;
  Output out([](std::string_view) { return 0; });
  Console console({.write = [&](std::string_view text) { said.shown += text; },
                   .is_terminal = is_terminal,
                   .quiet = quiet});
  Streams streams{.in = in,
                  .in_is_terminal = is_terminal,
                  .out = out,
                  .console = console,
                  .sources = process_sources()};
  ChatInput input(streams);
  while (const auto message = input.next()) said.messages.push_back(*message);
  return said;
}

using Messages = std::vector<std::string>;

TEST(ChatInputTest, ALineIsAMessage) {
  EXPECT_EQ(messages_of("a\n\nb\r\n  \nc", false).messages, (Messages{"a", "b", "c"}));
  EXPECT_EQ(messages_of("a\\\n\"\"\"\nb", false).messages, (Messages{"a\\", "\"\"\"", "b"}));
}

TEST(ChatInputTest, APersonMaySaySeveralLines) {
  EXPECT_EQ(messages_of("a\\\nb\\\n\\\nc\nd\n", true).messages, (Messages{"a\nb\n\nc", "d"}));
  EXPECT_EQ(messages_of("\"\"\"\na\n\n b\\\n\"\"\"\nc\n", true).messages,
            (Messages{"a\n\n b\\", "c"}));
  EXPECT_EQ(messages_of("\"\"\"\nnever ended", true).messages, Messages{"never ended"});
}

TEST(ChatInputTest, APersonIsPromptedQuietOrNot) {
  EXPECT_EQ(messages_of("a\n", true).shown, "> > ");
  EXPECT_EQ(messages_of("a\n", true, /*quiet=*/true).shown, "> > ");
  EXPECT_EQ(messages_of("a\\\nb\n", true).shown, "> . > ");
  EXPECT_EQ(messages_of("a\n", false).shown, "");
}

}  // namespace
}  // namespace braid::cli

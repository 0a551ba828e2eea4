// What a user says in a conversation: a line, or several.
#pragma once

#include <optional>
#include <string>

#include "cli/streams.h"

namespace braid::cli {

// Messages of a person, prompted for, or of a pipe: a line each. A person's line that ends in
// \ goes on in the next one, and lines between two lines of """ are one message. Empty ones are
// skipped.
class ChatInput {
 public:
  explicit ChatInput(Streams& streams) : streams_(streams) {}

  std::optional<std::string> next();  // nothing at the end

 private:
  std::optional<std::string> line(const std::string& prompt);
  std::optional<std::string> message();

  Streams& streams_;
};

}  // namespace braid::cli

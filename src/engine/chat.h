// Conversations: messages laid out as the model's chat template says.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "text/template/chat_template.h"
#include "text/tokenizer.h"

namespace braid::engine {

struct ChatMessage {
  std::string role;  // "system", "user", "assistant"
  std::string content;
};

// How a model's conversations look. Immutable.
class ChatFormat {
 public:
  // Errors: those of text::load_chat_template.
  static Result<ChatFormat> load(const std::string& folder);

  // The text of a conversation, up to where the model's next answer begins.
  Result<std::string> render(const std::vector<ChatMessage>& messages) const;
  // The same as token ids: the template writes all special tokens itself.
  Result<std::vector<int32_t>> encode(const text::Tokenizer& tokenizer,
                                      const std::vector<ChatMessage>& messages) const;

  // The special token that the template writes behind an assistant's answer; none where it writes
  // something else there, or refuses such a conversation.
  std::optional<int32_t> end_token(const text::Tokenizer& tokenizer) const;

 private:
  explicit ChatFormat(text::ChatTemplate chat) : template_(std::move(chat)) {}

  text::ChatTemplate template_;
};

}  // namespace braid::engine

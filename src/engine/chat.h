// Conversations: messages laid out as the model's chat template says.
#pragma once

#include <string>
#include <vector>

#include "text/template/template.h"
#include "text/tokenizer.h"

namespace braid::engine {

struct ChatMessage {
  std::string role;  // "system", "user", "assistant"
  std::string content;
};

// How a model's conversations look. Immutable.
class ChatFormat {
 public:
  // From chat_template.jinja in the model's folder, or else "chat_template" in its
  // tokenizer_config.json; unsupported, with both names, when there is neither.
  static Result<ChatFormat> load(const std::string& folder);

  // The text of a conversation, up to where the model's next answer begins.
  Result<std::string> render(const std::vector<ChatMessage>& messages) const;
  // The same as token ids: the template writes all special tokens itself.
  Result<std::vector<int32_t>> encode(const text::Tokenizer& tokenizer,
                                      const std::vector<ChatMessage>& messages) const;

 private:
  ChatFormat(text::Template chat_template, text::TokenizerConfig config)
      : template_(std::move(chat_template)), config_(std::move(config)) {}

  text::Template template_;
  text::TokenizerConfig config_;  // its special tokens are variables of the template
};

}  // namespace braid::engine

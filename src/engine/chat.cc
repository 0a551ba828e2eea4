#include "engine/chat.h"

namespace braid::engine {

Result<ChatFormat> ChatFormat::load(const std::string& folder) {
  return ChatFormat(TRY(text::load_chat_template(folder)));
}

Result<std::string> ChatFormat::render(const std::vector<ChatMessage>& messages) const {
  text::ChatInput input;
  for (const ChatMessage& message : messages) {
    input.messages.push_back({{"role", message.role}, {"content", message.content}});
  }
  return text::render_chat(template_, input);
}

Result<std::vector<int32_t>> ChatFormat::encode(const text::Tokenizer& tokenizer,
                                                const std::vector<ChatMessage>& messages) const {
  return tokenizer.encode(TRY(render(messages)), /*add_special_tokens=*/false);
}

}  // namespace braid::engine

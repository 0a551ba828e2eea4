#include "engine/chat.h"

#include <algorithm>

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

std::optional<int32_t> ChatFormat::end_token(const text::Tokenizer& tokenizer) const {
  constexpr std::string_view kAnswer = "answer 31415926";  // found again in the rendered text
  text::ChatInput input;
  input.messages.push_back({{"role", "user"}, {"content", "question"}});
  input.messages.push_back({{"role", "assistant"}, {"content", kAnswer}});
  input.add_generation_prompt = false;
  const Result<std::string> rendered = text::render_chat(template_, input);
  if (!rendered.ok()) return std::nullopt;
  const size_t answer = rendered->rfind(kAnswer);
  if (answer == rendered->npos) return std::nullopt;
  std::string_view behind = std::string_view(*rendered).substr(answer + kAnswer.size());
  behind.remove_prefix(std::min(behind.find_first_not_of(" \n"), behind.size()));
  const auto ids = tokenizer.encode(behind, /*add_special_tokens=*/false);
  if (!ids.ok() || ids->empty() || !tokenizer.is_special(ids->front())) return std::nullopt;
  return ids->front();
}

}  // namespace braid::engine

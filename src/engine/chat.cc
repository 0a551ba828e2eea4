#include "engine/chat.h"

#include <filesystem>

#include "base/json.h"

namespace braid::engine {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxTemplateBytes = int64_t{16} << 20;

bool is_there(const fs::path& path) {
  std::error_code code;
  return fs::exists(path, code);
}

}  // namespace

Result<ChatFormat> ChatFormat::load(const std::string& folder) {
  const fs::path config_path = fs::path(folder) / "tokenizer_config.json";
  const fs::path template_path = fs::path(folder) / "chat_template.jinja";
  text::TokenizerConfig config;
  if (is_there(config_path)) config = TRY(text::load_tokenizer_config(config_path.string()));
  fs::path source = config_path;
  if (is_there(template_path)) {
    config.chat_template = TRY(read_file(template_path.string(), kMaxTemplateBytes));
    source = template_path;
  }
  if (!config.chat_template) {
    return Error(ErrorKind::unsupported, "the model has no chat template")
        .with("folder", folder)
        .remedy(
            "It is a base model, which continues text: use braid generate. A template may "
            "stand in chat_template.jinja or in tokenizer_config.json.");
  }
  text::Template parsed = TRY(text::Template::parse(*config.chat_template, source.string()));
  return ChatFormat(std::move(parsed), std::move(config));
}

Result<std::string> ChatFormat::render(const std::vector<ChatMessage>& messages) const {
  text::OrderedJson variables = {{"messages", text::OrderedJson::array()},
                                 {"add_generation_prompt", true}};
  for (const ChatMessage& message : messages) {
    variables["messages"].push_back({{"role", message.role}, {"content", message.content}});
  }
  if (config_.bos_token) variables["bos_token"] = *config_.bos_token;
  if (config_.eos_token) variables["eos_token"] = *config_.eos_token;
  return template_.render(variables);
}

Result<std::vector<int32_t>> ChatFormat::encode(const text::Tokenizer& tokenizer,
                                                const std::vector<ChatMessage>& messages) const {
  return tokenizer.encode(TRY(render(messages)), /*add_special_tokens=*/false);
}

}  // namespace braid::engine

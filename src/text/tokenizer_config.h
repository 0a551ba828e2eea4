// tokenizer_config.json: what a model's files say about its special tokens. Its chat template is
// read by template/chat_template.h.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/json_fwd.h"
#include "base/status.h"

namespace braid::text {

// Fields that the file leaves out or sets to null are empty.
struct TokenizerConfig {
  std::optional<std::string> bos_token;
  std::optional<std::string> eos_token;
  std::optional<bool> add_bos_token;
  std::optional<bool> add_eos_token;
};

// Errors: not_found, corrupt_data (no JSON, a field of another type); they name the file.
Result<TokenizerConfig> load_tokenizer_config(const std::string& path);

// The same from the file's content; `source` names it in errors.
Result<TokenizerConfig> parse_tokenizer_config(std::string_view json, std::string_view source);

// The special token `key` of the file's object: "token", or {"content": "token", …}; empty where it
// is absent or null. Errors: corrupt_data.
Result<std::optional<std::string>> special_token(const Json& config, std::string_view key);

}  // namespace braid::text

#include "text/tokenizer_config.h"

#include "base/json.h"
#include "text/component.h"

namespace braid::text {
namespace {

constexpr Role kRole = "tokenizer configuration";
constexpr int64_t kMaxFileBytes = int64_t{64} << 20;

// The field, or null where it is absent or null.
const Json* find(const Json& json, std::string_view key) {
  const auto at = json.find(key);
  return at == json.end() || at->is_null() ? nullptr : &*at;
}

// "token", or {"content": "token", …}.
Result<std::optional<std::string>> token_field(const Json& json, std::string_view key) {
  const Json* value = find(json, key);
  if (value == nullptr) return std::optional<std::string>();
  const bool object = value->is_object();
  return std::optional<std::string>(object ? TRY(string_field(*value, kRole, "content"))
                                           : TRY(string_field(json, kRole, key)));
}

Result<std::optional<bool>> flag_field(const Json& json, std::string_view key) {
  if (find(json, key) == nullptr) return std::optional<bool>();
  return std::optional<bool>(TRY(bool_field(json, kRole, key, false)));
}

// "template", or [{"name": "default", "template": "…"}, …].
Result<std::optional<std::string>> template_field(const Json& json) {
  constexpr std::string_view kKey = "chat_template";
  const Json* value = find(json, kKey);
  if (value == nullptr) return std::optional<std::string>();
  if (!value->is_array()) {
    return std::optional<std::string>(TRY(string_field(json, kRole, kKey)));
  }
  for (const Json& named : *value) {
    if (!named.is_object() || TRY(string_field(named, kRole, "name")) != "default") continue;
    return std::optional<std::string>(TRY(string_field(named, kRole, "template")));
  }
  return unsupported_field(kRole, kKey, *value, "one template, or a list with one named default");
}

Result<TokenizerConfig> parse(const Json& json) {
  if (!json.is_object()) return Error(ErrorKind::corrupt_data, "the file holds no object");
  TokenizerConfig config;
  config.bos_token = TRY(token_field(json, "bos_token"));
  config.eos_token = TRY(token_field(json, "eos_token"));
  config.chat_template = TRY(template_field(json));
  config.add_bos_token = TRY(flag_field(json, "add_bos_token"));
  config.add_eos_token = TRY(flag_field(json, "add_eos_token"));
  return config;
}

}  // namespace

Result<TokenizerConfig> load_tokenizer_config(const std::string& path) {
  return parse_tokenizer_config(TRY(read_file(path, kMaxFileBytes)), path);
}

Result<TokenizerConfig> parse_tokenizer_config(std::string_view text, std::string_view source) {
  Result<TokenizerConfig> config = parse(TRY(parse_json(text, source)));
  if (!config.ok()) return Error(config.error()).with("file", source);
  return config;
}

}  // namespace braid::text

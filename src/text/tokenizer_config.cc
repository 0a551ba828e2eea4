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

Result<std::optional<bool>> flag_field(const Json& json, std::string_view key) {
  if (find(json, key) == nullptr) return std::optional<bool>();
  return std::optional<bool>(TRY(bool_field(json, kRole, key, false)));
}

Result<TokenizerConfig> parse(const Json& json) {
  if (!json.is_object()) return Error(ErrorKind::corrupt_data, "the file holds no object");
  TokenizerConfig config;
  config.bos_token = TRY(special_token(json, "bos_token"));
  config.eos_token = TRY(special_token(json, "eos_token"));
  config.add_bos_token = TRY(flag_field(json, "add_bos_token"));
  config.add_eos_token = TRY(flag_field(json, "add_eos_token"));
  return config;
}

}  // namespace

Result<std::optional<std::string>> special_token(const Json& config, std::string_view key) {
  const Json* token = find(config, key);
  if (token == nullptr) return std::optional<std::string>();
  const bool is_object = token->is_object();
  return std::optional<std::string>(is_object ? TRY(string_field(*token, kRole, "content"))
                                              : TRY(string_field(config, kRole, key)));
}

Result<TokenizerConfig> load_tokenizer_config(const std::string& path) {
  return parse_tokenizer_config(TRY(read_file(path, kMaxFileBytes)), path);
}

Result<TokenizerConfig> parse_tokenizer_config(std::string_view text, std::string_view source) {
  Result<TokenizerConfig> config = parse(TRY(parse_json(text, source)));
  if (!config.ok()) return Error(config.error()).with("file", source);
  return config;
}

}  // namespace braid::text

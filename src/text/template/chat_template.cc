#include "text/template/chat_template.h"

#include <filesystem>
#include <utility>

#include "base/json.h"
#include "text/tokenizer_config.h"

namespace braid::text {
namespace {

constexpr int64_t kMaxTemplateBytes = int64_t{4} << 20;

constexpr const char* kTokenNames[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                       "pad_token", "cls_token", "mask_token"};

Result<OrderedJson> read_special_tokens(const Json& config) {
  OrderedJson out = OrderedJson::object();
  for (const char* name : kTokenNames) {
    const std::optional<std::string> token = TRY(special_token(config, name));
    if (token) out[name] = *token;
  }
  constexpr const char* kMore = "additional_special_tokens";
  const auto more = config.find(kMore);
  if (more == config.end() || !more->is_array()) return out;
  OrderedJson& list = out[kMore] = OrderedJson::array();
  for (const Json& item : *more) {
    const std::optional<std::string> token = TRY(special_token({{kMore, item}}, kMore));
    if (token) list.push_back(*token);
  }
  return out;
}

// The template under `name` in a list of {name, template}, or null.
const Json* find_named(const Json& list, std::string_view name) {
  for (const Json& item : list) {
    if (item.is_object() && item.contains("name") && item["name"] == name &&
        item.contains("template") && item["template"].is_string()) {
      return &item["template"];
    }
  }
  return nullptr;
}

Error no_template(const std::string& model_dir) {
  return Error(ErrorKind::not_found, "the model has no chat template")
      .with("folder", model_dir)
      .remedy(
          "It is a base model, which continues text: use braid generate. A template may stand in "
          "chat_template.jinja, or in tokenizer_config.json by itself or named \"default\".");
}

Result<Template> parse_text(const Json& source, const std::string& path) {
  return Template::parse(source.get_ref<const std::string&>(), path);
}

Status check_input(const ChatInput& input) {
  if (!input.messages.is_array()) {
    return Error(ErrorKind::usage, "the messages of a chat must be a list")
        .with("type", input.messages.type_name());
  }
  for (size_t i = 0; i < input.messages.size(); ++i) {
    if (input.messages[i].is_object()) continue;
    return Error(ErrorKind::usage, "a message of a chat must be an object")
        .with("message", i)
        .with("type", input.messages[i].type_name());
  }
  if (!input.tools.is_null() && !input.tools.is_array()) {
    return Error(ErrorKind::usage, "the tools of a chat must be a list")
        .with("type", input.tools.type_name());
  }
  if (!input.extra.is_object()) {
    return Error(ErrorKind::usage, "the extra variables of a chat must be an object")
        .with("type", input.extra.type_name());
  }
  return {};
}

Result<std::string> render(const Template& chat, const ChatInput& input, OrderedJson variables,
                           const RenderOptions& options) {
  TRY(check_input(input));
  for (const auto& [name, value] : input.extra.items()) variables[name] = value;
  for (const char* name : {"messages", "tools", "documents", "add_generation_prompt"}) {
    if (!variables.contains(name)) continue;
    return Error(ErrorKind::usage, "an extra variable of a chat has a reserved name")
        .with("name", name);
  }
  variables["messages"] = input.messages;
  variables["tools"] = input.tools;
  variables["documents"] = nullptr;
  variables["add_generation_prompt"] = input.add_generation_prompt;
  return chat.render(variables, options);
}

}  // namespace

Result<ChatTemplate> load_chat_template(const std::string& model_dir) {
  const std::string config_path = model_dir + "/tokenizer_config.json";
  const std::string file_path = model_dir + "/chat_template.jinja";
  std::error_code code;
  Json config = Json::object();
  if (std::filesystem::exists(config_path, code)) config = TRY(read_json_file(config_path));
  if (!config.is_object()) {
    return Error(ErrorKind::corrupt_data, "tokenizer_config.json holds no object")
        .with("path", config_path);
  }
  Result<OrderedJson> read = read_special_tokens(config);
  if (!read.ok()) return Error(read.error()).with("file", config_path);
  OrderedJson tokens = std::move(read).value();
  if (std::filesystem::exists(file_path, code)) {
    const std::string source = TRY(read_file(file_path, kMaxTemplateBytes));
    return ChatTemplate{TRY(Template::parse(source, file_path)), std::nullopt, std::move(tokens)};
  }
  const auto found = config.find("chat_template");
  if (found == config.end() || found->is_null()) return no_template(model_dir);
  if (found->is_string()) {
    return ChatTemplate{TRY(parse_text(*found, config_path)), std::nullopt, std::move(tokens)};
  }
  if (!found->is_array()) {
    return Error(ErrorKind::corrupt_data, "chat_template is neither a text nor a list")
        .with("path", config_path);
  }
  const Json* chat = find_named(*found, "default");
  const Json* tool_use = find_named(*found, "tool_use");
  if (chat == nullptr) return no_template(model_dir);
  ChatTemplate out{TRY(parse_text(*chat, config_path)), std::nullopt, std::move(tokens)};
  if (tool_use != nullptr) out.tool_use = TRY(parse_text(*tool_use, config_path));
  return out;
}

Result<std::string> render_chat(const Template& chat, const ChatInput& input,
                                const RenderOptions& options) {
  return render(chat, input, OrderedJson::object(), options);
}

Result<std::string> render_chat(const ChatTemplate& chat, const ChatInput& input,
                                const RenderOptions& options) {
  const bool tool_use = chat.tool_use.has_value() && !input.tools.is_null();
  return render(tool_use ? *chat.tool_use : chat.chat, input, chat.special_tokens, options);
}

}  // namespace braid::text

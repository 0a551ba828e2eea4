// The messages of a conversation, and their text.
#include <algorithm>

#include "server/generation_request.h"

namespace braid::server {
namespace {

using text::OrderedJson;

constexpr size_t kMostMessages = 16384;

// The text of a message's content: a text, or parts of type "text", a line each.
Result<std::string> content_of(const Json& content, const std::string& where) {
  if (content.is_null()) return std::string();
  if (content.is_string()) return content.get<std::string>();
  if (!content.is_array()) return bad_field(where, where + " must be a text or a list of parts");
  std::string text;
  for (size_t i = 0; i < content.size(); ++i) {
    const std::string part = fmt::format("{}[{}]", where, i);
    if (!content[i].is_object()) return bad_field(part, part + " must be an object");
    Fields fields(content[i], part + ".");
    const std::string type = TRY(fields.text("type")).value_or("");
    if (type != "text") {
      return bad_field(part + ".type", "only parts of type \"text\" are understood")
          .with("type", type);
    }
    const std::optional<std::string> line = TRY(fields.text("text"));
    if (!line) return bad_field(part + ".text", part + ".text is missing");
    text += (i == 0 ? "" : "\n") + *line;
  }
  return text;
}

Result<OrderedJson> message_of(const Json& message, const std::string& where) {
  if (!message.is_object()) return bad_field(where, where + " must be an object");
  Fields fields(message, where + ".");
  const std::optional<std::string> role = TRY(fields.text("role"));
  if (!role) return bad_field(where + ".role", where + ".role is missing");
  for (const char* later : {"tool_calls", "function_call"}) {
    TRY(fields.refuse(later, "is not there yet", {Json::array()}));
  }
  const Json* content = fields.find("content");
  OrderedJson out = {{"role", *role}};
  out["content"] = TRY(content_of(content == nullptr ? Json() : *content, where + ".content"));
  for (const auto& [name, value] : message.items()) {
    if (!out.contains(name) && !value.is_null()) out[name] = OrderedJson(value);
  }
  return out;
}

Result<OrderedJson> messages_of(Fields& fields) {
  const Json* list = fields.find("messages");
  if (list == nullptr || !list->is_array() || list->empty() || list->size() > kMostMessages) {
    return bad_field("messages",
                     fmt::format("messages must be a list of 1 to {} messages", kMostMessages));
  }
  OrderedJson messages = OrderedJson::array();
  for (size_t i = 0; i < list->size(); ++i) {
    messages.push_back(TRY(message_of((*list)[i], fmt::format("messages[{}]", i))));
  }
  return messages;
}

// The rendered conversation up to the end of its last message, which the answer continues.
Result<std::string> up_to_last(std::string text, const OrderedJson& messages) {
  const auto& last = messages.back().at("content").get_ref<const std::string&>();
  const size_t begin = last.find_first_not_of(" \t\n");
  const size_t at = begin == last.npos ? text.npos : text.rfind(last.substr(begin));
  if (at != text.npos) {
    text.resize(at + last.size() - begin);
    return text;
  }
  return bad_field("continue_final_message",
                   "the chat template changes the last message, so that it can't be continued");
}

}  // namespace

Result<std::string> render_messages(Fields& fields, const ServedModel& model) {
  if (!model.chat) {
    return bad_field("messages", "the model has no chat template")
        .remedy("Use /v1/completions, or put a chat_template.jinja into the model's folder.");
  }
  text::ChatInput input;
  input.messages = TRY(messages_of(fields));
  const bool continues = TRY(fields.flag("continue_final_message")).value_or(false);
  input.add_generation_prompt = TRY(fields.flag("add_generation_prompt")).value_or(!continues);
  if (continues && input.add_generation_prompt) {
    return bad_field("continue_final_message",
                     "add_generation_prompt and continue_final_message exclude each other");
  }
  if (const Json* extra = fields.find("chat_template_kwargs"); extra != nullptr) {
    if (!extra->is_object()) {
      return bad_field("chat_template_kwargs", "chat_template_kwargs must be an object");
    }
    input.extra = OrderedJson(*extra);
  }
  if (const auto effort = TRY(fields.text("reasoning_effort"))) {
    input.extra["reasoning_effort"] = *effort;
  }
  Result<std::string> text = text::render_chat(*model.chat, input);
  if (!text.ok()) {
    return bad_field("messages", "the chat template can't render this conversation")
        .with("error", text.status().to_string());
  }
  return continues ? up_to_last(*std::move(text), input.messages) : text;
}

}  // namespace braid::server

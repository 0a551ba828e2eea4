// Renders chats into the text that a model was trained on, with the template its directory has.
#pragma once

#include <optional>
#include <string>

#include "base/json.h"
#include "base/status.h"
#include "text/template/template.h"

namespace braid::text {

// What a chat is rendered from.
struct ChatInput {
  OrderedJson messages = OrderedJson::array();  // objects with role, content, tool_calls, ...
  OrderedJson tools;                            // null, or an array of function descriptions
  bool add_generation_prompt = true;            // end with the head of the assistant's answer
  OrderedJson extra = OrderedJson::object();    // more variables, like enable_thinking
};

// The templates of a model directory.
struct ChatTemplate {
  Template chat;
  std::optional<Template> tool_use;                    // instead of `chat` when tools are given
  OrderedJson special_tokens = OrderedJson::object();  // bos_token, eos_token, ... as texts
};

// Reads chat_template.jinja, or else the member chat_template of tokenizer_config.json (a text, or
// a list of named ones: "default", and "tool_use" if there), and the special tokens of the latter.
// Errors: not_found where there is no template, corrupt_data; those of Template::parse.
Result<ChatTemplate> load_chat_template(const std::string& model_dir);

// Renders with the variables messages, tools, documents (none), add_generation_prompt and those of
// `extra`. Errors: usage where messages are no list of objects, tools no list, or `extra` sets one
// of the other variables; those of Template::render.
Result<std::string> render_chat(const Template& chat, const ChatInput& input,
                                const RenderOptions& options = {});

// The same with the model's special tokens; `extra` may replace them.
Result<std::string> render_chat(const ChatTemplate& chat, const ChatInput& input,
                                const RenderOptions& options = {});

}  // namespace braid::text
